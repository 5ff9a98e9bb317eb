// out_JC = sums of +-rows of a: a tile of major vectors at a time, their entries made once for all columns.
#include <algorithm>

#include "kernels/cpu/parallel.h"
#include "kernels/cpu/pattern_chunk.h"
#include "kernels/cpu/philox_lanes.h"
#include "kernels/cpu/sparse_sketch.h"
#include "kernels/cpu/strips.h"
#include "kernels/cpu/vectorised.h"
#include "kernels/element/convert.h"
#include "kernels/sketch/check_products.h"

namespace panther::cpu {
namespace {

/// Major vectors of a tile: few where out's rows are contiguous (as many streams of writes), more where its columns are.
constexpr std::int64_t kRowTile = 16, kColumnTile = 64;
/// Of a packed copy of a; beyond it a's elements are read where they lie.
constexpr std::int64_t kPackedLimit = std::int64_t{1} << 30;

/// Entries of up to kLanes major vectors, window-relative.
struct EntryTable {
  int count[kLanes];
  std::int64_t place[kLanes][kMaxNonzeros];
  double value[kLanes][kMaxNonzeros];
};

void fill_table(const SparseWindow& window, std::int64_t first, std::int64_t majors, std::int64_t minors, EntryTable& table) {
  std::int64_t from[kMaxNonzeros], to[kMaxNonzeros];
  std::uint64_t bits[kLanes * kMaxNonzeros];
  const SparsePattern& pattern = window.pattern;
  const int stride = (pattern.nonzeros + 1) / 2 * 2;
  if (pattern.draw != PatternDraw::listed) pattern_draws(pattern.key, window.first_major + first, majors, pattern.nonzeros, bits);
  for (std::int64_t lane = 0; lane < majors; ++lane) {
    const std::uint64_t* own = bits + lane * stride;
    std::int64_t* place = table.place[lane];
    double* value = table.value[lane];
    const int count = pattern_entries(pattern, window.first_major + first + lane, [own](int t) { return own[t]; }, place, value, from, to);
    int kept = 0;
    for (int e = 0; e < count; ++e) {
      const std::int64_t minor = place[e] - window.first_minor;
      if (minor < 0 || minor >= minors) continue;
      place[kept] = minor;
      value[kept++] = value[e];
    }
    table.count[lane] = kept;
  }
}

/// Where rows of a are read: element (row, lane) of a strip at row * row_stride + lane * lane_stride.
template <class E>
struct RowSource {
  const E* data;
  std::int64_t row_stride, lane_stride;
};

template <class T, class E>
PANTHER_VECTORISED void sum_rows(const RowSource<E>& source, int count, const std::int64_t* place, const double* value, int columns, T* sum) {
  if (source.lane_stride == 1 && columns == kWideLanes<T>) {
    T local[kWideLanes<T>] = {};
    for (int e = 0; e < count; ++e) {
      const E* row = source.data + place[e] * source.row_stride;
      const T factor = static_cast<T>(value[e]);
      for (int w = 0; w < kWideLanes<T>; ++w) local[w] += factor * convert<T>(row[w]);
    }
    std::copy(local, local + kWideLanes<T>, sum);
    return;
  }
  std::fill(sum, sum + columns, T{0});
  for (int e = 0; e < count; ++e) {
    const E* row = source.data + place[e] * source.row_stride;
    const T factor = static_cast<T>(value[e]);
    for (int w = 0; w < columns; ++w) sum[w] += factor * convert<T>(row[w * source.lane_stride]);
  }
}

/// One product whose a is read through sources of strips.
template <class T, class E>
struct Gather {
  const SparseWindow& window;
  std::int64_t minors;
  T alpha, beta;
  const TensorView& out;
  int lanes;
  /// The source of the strip from a column on.
  const E* data;
  std::int64_t row_stride, lane_stride, strip_step;

  RowSource<E> strip(std::int64_t index) const { return {data + index * strip_step, row_stride, lane_stride}; }

  void tile(std::int64_t first, std::int64_t majors) const {
    EntryTable table;
    T sums[kColumnTile * kWideLanes<T>];
    const std::int64_t strips = (out.shape[1] + lanes - 1) / lanes;
    for (std::int64_t group = 0; group < majors; group += kLanes) {
      const std::int64_t count = std::min<std::int64_t>(kLanes, majors - group);
      fill_table(window, first + group, count, minors, table);
      for (std::int64_t s = 0; s < strips; ++s) {
        const int columns = static_cast<int>(std::min<std::int64_t>(lanes, out.shape[1] - s * lanes));
        for (std::int64_t j = 0; j < count; ++j) sum_rows(strip(s), table.count[j], table.place[j], table.value[j], columns, sums + j * lanes);
        store_strip(sums, alpha, beta, out, first + group, count, s * lanes, lanes);
      }
    }
  }

  void run() const {
    const std::int64_t majors = out.shape[0], step = out.strides[1] == 1 ? kRowTile : kColumnTile;
    const std::int64_t tiles = (majors + step - 1) / step;
    parallel_for(tiles, 4 * majors * window.pattern.nonzeros * out.shape[1], [&](std::int64_t t) { tile(t * step, std::min(step, majors - t * step)); });
  }
};

/// Columns of a apart: packing its strips first pays when most of a is used more than once.
template <class T>
void gather_packed(const SparseWindow& window, T alpha, const TensorView& a, T beta, const TensorView& out, Allocator& allocator) {
  const std::int64_t minors = a.shape[0], columns = a.shape[1];
  const int lanes = strip_lanes<T>(columns);
  const std::int64_t strips = (columns + lanes - 1) / lanes;
  const Workspace memory(allocator, static_cast<std::size_t>(strips * minors * lanes) * sizeof(T), {}, {});
  T* packed = static_cast<T*>(memory.data());
  parallel_for(strips, minors * columns, [&](std::int64_t s) { load_strip(a, 0, minors, s * lanes, lanes, packed + s * minors * lanes); });
  Gather<T, T>{window, minors, alpha, beta, out, lanes, packed, lanes, 1, minors * lanes}.run();
}

template <class T, class E>
void gather(const SparseWindow& window, T alpha, const TensorView& a, T beta, const TensorView& out, Allocator& allocator) {
  const std::int64_t packed_bytes = a.numel() * static_cast<std::int64_t>(sizeof(T));
  if (a.strides[1] != 1 && a.shape[0] <= 2 * out.shape[0] * window.pattern.nonzeros && packed_bytes <= kPackedLimit) {
    return gather_packed<T>(window, alpha, a, beta, out, allocator);
  }
  const int lanes = strip_lanes<T>(out.shape[1]);
  Gather<T, E>{window, a.shape[0], alpha, beta, out, lanes, a.as<const E>(), a.strides[0], a.strides[1], lanes * a.strides[1]}.run();
}

template <class T>
void expand(const SparseWindow& window, double scale, const TensorView& out) {
  const std::int64_t majors = out.shape[0], minors = out.shape[1];
  parallel_for((majors + kLanes - 1) / kLanes, majors * minors, [&](std::int64_t group) {
    EntryTable table;
    const std::int64_t first = group * kLanes, count = std::min<std::int64_t>(kLanes, majors - first);
    fill_table(window, first, count, minors, table);
    for (std::int64_t j = 0; j < count; ++j) {
      T* row = out.as<T>() + (first + j) * out.strides[0];
      for (std::int64_t m = 0; m < minors; ++m) row[m * out.strides[1]] = convert<T>(0.0f);
      for (int e = 0; e < table.count[j]; ++e) {
        using A = Accumulator<T>;
        row[table.place[j][e] * out.strides[1]] = convert<T>(static_cast<A>(scale) * static_cast<A>(table.value[j][e]));
      }
    }
  });
}

}  // namespace

void sparse_gather(const SparseWindow& window, double alpha, const TensorView& a_MC, double beta, const TensorView& out_JC, Allocator& allocator, Stream) {
  check::sparse_product("sparse_gather", window, out_JC.shape[0], a_MC.shape[0], a_MC, out_JC);
  if (out_JC.numel() == 0) return;
  const auto single_alpha = static_cast<float>(alpha), single_beta = static_cast<float>(beta);
  switch (out_JC.dtype) {
    case DType::f64: return gather<double, double>(window, alpha, a_MC, beta, out_JC, allocator);
    case DType::f32: return gather<float, float>(window, single_alpha, a_MC, single_beta, out_JC, allocator);
    case DType::bf16: return gather<float, Bf16>(window, single_alpha, a_MC, single_beta, out_JC, allocator);
    case DType::f16: return gather<float, F16>(window, single_alpha, a_MC, single_beta, out_JC, allocator);
    case DType::i64: case DType::i32: case DType::u8: return;
  }
}

void sparse_expand(const SparseWindow& window, double scale, const TensorView& out_JM, Allocator&, Stream) {
  check::sparse_window("sparse_expand", window, out_JM.shape[0], out_JM.shape[1], out_JM);
  switch (out_JM.dtype) {
    case DType::f64: return expand<double>(window, scale, out_JM);
    case DType::f32: return expand<float>(window, scale, out_JM);
    case DType::bf16: return expand<Bf16>(window, scale, out_JM);
    case DType::f16: return expand<F16>(window, scale, out_JM);
    case DType::i64: case DType::i32: case DType::u8: return;
  }
}

}  // namespace panther::cpu
