// out_MC = sum of +-rows of a: chunk by chunk of major vectors, a strip of a's columns is packed into the L2 cache, and every place of
// out takes its rows of the strip in registers. So a is read once from memory, and out's strip stays in the cache.
#include <algorithm>
#include <span>

#include "kernels/sketch/check_products.h"
#include "kernels/cpu/parallel.h"
#include "kernels/cpu/pattern_chunk.h"
#include "kernels/cpu/row_scatter.h"
#include "kernels/cpu/sparse_scatter_steps.h"
#include "kernels/cpu/sparse_sketch.h"
#include "kernels/cpu/strips.h"
#include "kernels/cpu/tile_kernels.h"
#include "kernels/cpu/vectorised.h"

namespace panther::cpu {
namespace {

/// Of a packed strip: half of an L2 cache, the other half is for out's strip. Several strips of rows share it.
std::int64_t packed_bytes(bool rows_contiguous) { return !rows_contiguous && tile_processor().avx512 ? 512 * 1024 : 256 * 1024; }
/// Strips that a task packs at once where rows are contiguous: a piece of a KiB costs one page walk, and so does a piece of two lines.
constexpr std::int64_t kPackedStrips = 8;
/// Additions that make a second task for one strip worth packing the strip twice.
constexpr std::int64_t kPartWork = 256 * 1024;

template <class T> struct Wide;
template <> struct Wide<double> { typedef double type __attribute__((vector_size(32), may_alias)); };
template <> struct Wide<float> { typedef float type __attribute__((vector_size(32), may_alias)); };

template <class T, bool weighted>
PANTHER_VECTORISED void add_wide(const PatternChunk& chunk, std::uint32_t first, std::uint32_t last, const T* packed, T* sums, LinesAhead& next) {
  LinesAhead ahead = next;
  using Vector = typename Wide<T>::type;
  constexpr int vectors = kStripBytes / 32;
  for (std::uint32_t r = first; r < last; ++r) {
    const PatternRun run = chunk.run[r];
    Vector* sum = reinterpret_cast<Vector*>(sums) + std::int64_t{run.minor} * vectors;
    Vector s0 = sum[0], s1 = sum[1], s2 = sum[2], s3 = sum[3];
    for (std::uint32_t e = run.begin; e < run.end; ++e) {
      const std::uint32_t entry = chunk.entry[e];
      const Vector* row = reinterpret_cast<const Vector*>(packed) + std::int64_t{entry & ~kNegativeEntry} * vectors;
      T value = kSign<T>[entry / kNegativeEntry];
      if constexpr (weighted) value *= static_cast<T>(chunk.magnitude[e]);
      s0 += value * row[0];
      s1 += value * row[1];
      s2 += value * row[2];
      s3 += value * row[3];
      if ((e & 1u) == 0) ahead.ask();
    }
    sum[0] = s0;
    sum[1] = s1;
    sum[2] = s2;
    sum[3] = s3;
  }
  next = ahead;
}

template <class T>
void add_wide_plain(const PatternChunk& chunk, std::uint32_t first, std::uint32_t last, const T* packed, T* sums, LinesAhead& next) {
  return chunk.magnitude != nullptr ? add_wide<T, true>(chunk, first, last, packed, sums, next) : add_wide<T, false>(chunk, first, last, packed, sums, next);
}

template <class T>
AddWide<T> chosen_add_wide() {
  static const AddWide<T> wide = add_wide_avx512(T{});
  return wide != nullptr ? wide : add_wide_plain<T>;
}

template <class T, int lanes, bool weighted>
PANTHER_VECTORISED void add_narrow(const PatternChunk& chunk, std::uint32_t first, std::uint32_t last, const T* packed, T* sums) {
  for (std::uint32_t r = first; r < last; ++r) {
    const PatternRun run = chunk.run[r];
    T* sum = sums + std::int64_t{run.minor} * lanes;
    for (std::uint32_t e = run.begin; e < run.end; ++e) {
      const std::uint32_t entry = chunk.entry[e];
      const T* row = packed + std::int64_t{entry & ~kNegativeEntry} * lanes;
      T value = kSign<T>[entry / kNegativeEntry];
      if constexpr (weighted) value *= static_cast<T>(chunk.magnitude[e]);
      for (int w = 0; w < lanes; ++w) sum[w] += value * row[w];
    }
  }
}

template <class T>
void add_runs(const PatternChunk& chunk, std::uint32_t first, std::uint32_t last, int lanes, const T* packed, T* sums, LinesAhead& ahead) {
  const bool weighted = chunk.magnitude != nullptr;
  if (lanes == kWideLanes<T>) return chosen_add_wide<T>()(chunk, first, last, packed, sums, ahead);
  if (lanes == kNarrowLanes) {
    return weighted ? add_narrow<T, kNarrowLanes, true>(chunk, first, last, packed, sums) : add_narrow<T, kNarrowLanes, false>(chunk, first, last, packed, sums);
  }
  return weighted ? add_narrow<T, 1, true>(chunk, first, last, packed, sums) : add_narrow<T, 1, false>(chunk, first, last, packed, sums);
}

/// The runs of places [begin, end): all of an unsorted chunk, which is never divided. Narrow strips ask for nothing ahead.
template <class T>
void add_places(const PatternChunk& chunk, std::int64_t begin, std::int64_t end, int lanes, const T* packed, T* sums, LinesAhead& ahead) {
  const auto before = [](const PatternRun& run, std::int64_t place) { return static_cast<std::int64_t>(run.minor) < place; };
  const PatternRun* last = chunk.run + chunk.runs;
  const PatternRun* from = chunk.sorted ? std::lower_bound(chunk.run, last, begin, before) : chunk.run;
  const PatternRun* to = chunk.sorted ? std::lower_bound(from, last, end, before) : last;
  add_runs(chunk, static_cast<std::uint32_t>(from - chunk.run), static_cast<std::uint32_t>(to - chunk.run), lanes, packed, sums, ahead);
}

/// How the work is divided. Neither chunks nor parts change what is added to an element or in which order.
struct ScatterPlan {
  int lanes = 1;
  std::int64_t strips = 0;         ///< of lanes columns
  std::int64_t strips_at_once = 0;
  std::int64_t strips_packed = 1;  ///< by one task
  std::int64_t chunk_majors = 0, chunks = 0;
  std::int64_t parts = 1;          ///< of a strip's places, each with its own task
  std::int64_t workers = 1;
};

template <class T>
ScatterPlan plan_scatter(const SparsePattern& pattern, std::int64_t majors, std::int64_t minors, std::int64_t columns, bool rows_contiguous) {
  ScatterPlan plan;
  plan.lanes = strip_lanes<T>(columns);
  const std::int64_t row_bytes = plan.lanes * static_cast<std::int64_t>(sizeof(T));
  plan.strips = (columns + plan.lanes - 1) / plan.lanes;
  plan.strips_at_once = std::clamp<std::int64_t>(kSumBytes / (minors * row_bytes), std::min<std::int64_t>(plan.strips, worker_count()), plan.strips);
  plan.chunk_majors = std::min({packed_bytes(rows_contiguous) / row_bytes, std::max<std::int64_t>(kChunkEntries / pattern.nonzeros, 64), majors});
  plan.chunks = (majors + plan.chunk_majors - 1) / plan.chunk_majors;
  const bool sorted = minors <= 4 * plan.chunk_majors * pattern.nonzeros && (majors % plan.chunk_majors == 0 || minors <= 4 * (majors % plan.chunk_majors) * pattern.nonzeros);
  const std::int64_t wanted = (worker_count() + plan.strips - 1) / plan.strips, worth = majors * pattern.nonzeros * columns / kPartWork;
  if (sorted) plan.parts = std::clamp<std::int64_t>(worth, 1, std::min(wanted, minors));
  if (rows_contiguous) plan.strips_packed = std::clamp<std::int64_t>(plan.strips_at_once / worker_count(), 1, kPackedStrips);
  plan.workers = std::min(worker_count(), plan.strips_at_once * plan.parts);
  return plan;
}

template <class T>
class Scatter {
 public:
  Scatter(const SparseWindow& window, const TensorView& a, const TensorView& out, Allocator& allocator)
      : window_(window), a_(a), out_(out), minors_(out.shape[0]), plan_(plan_scatter<T>(window.pattern, a.shape[0], minors_, a.shape[1], a.strides[1] == 1)),
        chunk_bytes_(chunk_bytes(window.pattern, plan_.chunk_majors, minors_)),
        packed_(allocator, static_cast<std::size_t>(plan_.workers * packed_size()) * sizeof(T), {}, {}),
        sums_(allocator, static_cast<std::size_t>(plan_.strips_at_once * minors_ * plan_.lanes) * sizeof(T), {}, {}),
        entries_(allocator, static_cast<std::size_t>(std::min(plan_.chunks, kGroupChunks) * chunk_bytes_), {}, {}) {}

  void run(T alpha, T beta) {
    for (std::int64_t strip = 0; strip < plan_.strips; strip += plan_.strips_at_once) {
      const std::int64_t strips = std::min(plan_.strips_at_once, plan_.strips - strip);
      for (std::int64_t chunk = 0; chunk < plan_.chunks; chunk += kGroupChunks) add_group(strip, strips, chunk);
      parallel_for(strips, strips * minors_ * plan_.lanes, [&](std::int64_t s) {
        store_strip(sums(s), alpha, beta, out_, 0, minors_, (strip + s) * plan_.lanes, plan_.lanes);
      });
    }
  }

 private:
  T* sums(std::int64_t strip) const { return static_cast<T*>(sums_.data()) + strip * minors_ * plan_.lanes; }
  std::int64_t majors_of(std::int64_t chunk) const { return std::min(plan_.chunk_majors, a_.shape[0] - chunk * plan_.chunk_majors); }

  void add_group(std::int64_t first_strip, std::int64_t strips, std::int64_t first_chunk) {
    const std::int64_t chunks = std::min(kGroupChunks, plan_.chunks - first_chunk);
    PatternChunk made[kGroupChunks];
    const std::int64_t entries = chunks * plan_.chunk_majors * window_.pattern.nonzeros;
    parallel_for(chunks, 32 * entries, [&](std::int64_t i) {
      made[i] = make_chunk(window_.pattern, window_.first_major + (first_chunk + i) * plan_.chunk_majors, majors_of(first_chunk + i), window_.first_minor,
                           minors_, static_cast<std::byte*>(entries_.data()) + i * chunk_bytes_);
    });
    const std::int64_t packs = (strips + plan_.strips_packed - 1) / plan_.strips_packed;
    parallel_tasks(packs * plan_.parts, entries * strips * plan_.lanes, [&](std::int64_t worker, std::int64_t task) {
      T* packed = static_cast<T*>(packed_.data()) + worker * packed_size();
      const std::int64_t begin = task / plan_.parts * plan_.strips_packed, end = std::min(strips, begin + plan_.strips_packed);
      add_strips(first_strip, begin, end, task % plan_.parts, first_chunk, {made, static_cast<std::size_t>(chunks)}, packed);
    });
  }

  /// Strips [begin, end), counted from first_strip, take what the chunks have for their part of the places.
  void add_strips(std::int64_t first_strip, std::int64_t begin, std::int64_t end, std::int64_t part, std::int64_t first_chunk, std::span<const PatternChunk> chunks,
                  T* packed) const {
    const std::int64_t first_place = part * minors_ / plan_.parts, last_place = (part + 1) * minors_ / plan_.parts;
    if (first_chunk == 0) {
      for (std::int64_t s = begin; s < end; ++s) std::fill(sums(s) + first_place * plan_.lanes, sums(s) + last_place * plan_.lanes, T{0});
    }
    const std::int64_t strip_size = packed_size() / plan_.strips_packed;
    for (std::size_t i = 0; i < chunks.size(); ++i) {
      const std::int64_t chunk = first_chunk + static_cast<std::int64_t>(i);
      load_strips(a_, chunk * plan_.chunk_majors, majors_of(chunk), (first_strip + begin) * plan_.lanes, plan_.lanes, end - begin, strip_size, packed);
      LinesAhead ahead = lines_of(chunk + 1, (first_strip + begin) * plan_.lanes, (end - begin) * plan_.lanes);
      for (std::int64_t s = begin; s < end; ++s) add_places(chunks[i], first_place, last_place, plan_.lanes, packed + (s - begin) * strip_size, sums(s), ahead);
    }
  }

  /// Of a chunk's rows in `columns` columns; nothing where neither rows nor columns are contiguous.
  LinesAhead lines_of(std::int64_t chunk, std::int64_t column, std::int64_t columns) const {
    if (chunk >= plan_.chunks || (a_.strides[0] != 1 && a_.strides[1] != 1)) return {};
    const auto size = static_cast<std::int64_t>(size_of(a_.dtype));
    const std::int64_t rows = majors_of(chunk), count = std::min(columns, a_.shape[1] - column);
    const char* first = a_.as<const char>() + (chunk * plan_.chunk_majors * a_.strides[0] + column * a_.strides[1]) * size;
    if (a_.strides[1] == 1) return {first, count * size, a_.strides[0] * size, rows};
    return {first, rows * size, a_.strides[1] * size, count};
  }

  /// One row more than a strip has: strips a power of two apart would share their cache sets.
  std::int64_t packed_size() const { return plan_.strips_packed * (plan_.chunk_majors + 1) * plan_.lanes; }

  const SparseWindow& window_;
  const TensorView& a_;
  const TensorView& out_;
  std::int64_t minors_;
  ScatterPlan plan_;
  std::int64_t chunk_bytes_;
  Workspace packed_, sums_, entries_;
};

template <class T>
void scatter(const SparseWindow& window, T alpha, const TensorView& a, T beta, const TensorView& out, Allocator& allocator) {
  if (RowScatter<T>::takes(a, out)) return RowScatter<T>(window, a, out, allocator).run(alpha, beta);
  Scatter<T>(window, a, out, allocator).run(alpha, beta);
}

}  // namespace

void sparse_scatter(const SparseWindow& window, double alpha, const TensorView& a_JC, double beta, const TensorView& out_MC, Allocator& allocator, Stream) {
  check::sparse_product("sparse_scatter", window, a_JC.shape[0], out_MC.shape[0], a_JC, out_MC);
  if (out_MC.numel() == 0) return;
  if (a_JC.shape[0] == 0) return scale_matrix(beta, out_MC);
  if (out_MC.dtype == DType::f64) return scatter<double>(window, alpha, a_JC, beta, out_MC, allocator);
  scatter<float>(window, static_cast<float>(alpha), a_JC, static_cast<float>(beta), out_MC, allocator);
}

}  // namespace panther::cpu
