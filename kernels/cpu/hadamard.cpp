// Sampled Hadamard products strip by strip of columns, as H_high (x) H_low: signs, padding, the transform over the low bits and the
// choice of rows happen while a block of positions is in the L2 cache; only the chosen rows reach the second pass.
#include "kernels/cpu/hadamard.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "kernels/cpu/parallel.h"
#include "kernels/cpu/strips.h"
#include "kernels/cpu/vectorised.h"
#include "kernels/cpu/walsh_hadamard.h"
#include "kernels/element/sign.h"
#include "kernels/sketch/check_products.h"
#include "kernels/sketch/sample_plan.h"

namespace panther::cpu {
namespace {

/// Of a block of positions: half an L2 cache.
constexpr std::int64_t kBlockBytes = 256 * 1024;
constexpr std::int64_t kGroupRun = 16;

/// Rows r of part[rows][lanes] times the sign of position first + r.
template <class T>
PANTHER_VECTORISED void flip_rows(SignKey key, std::int64_t first, std::int64_t rows, int lanes, T* part) {
  PhiloxBlock bits{};
  for (std::int64_t r = 0; r < rows; ++r) {
    const std::int64_t position = first + r;
    if (r == 0 || position % 128 == 0) bits = sign_block(key, 0, static_cast<std::uint32_t>(position / 128));
    if (((bits.word[position / 32 % 4] >> (position % 32)) & 1u) == 0) continue;
    T* row = part + r * lanes;
    if (lanes == kWideLanes<T>) {
      for (int w = 0; w < kWideLanes<T>; ++w) row[w] = -row[w];
    } else {
      for (int w = 0; w < lanes; ++w) row[w] = -row[w];
    }
  }
}

/// The two passes over one batch of strips. The first pass works block by block of low_size positions, one for each value of the high bits;
/// kept[strip][block][group] holds the rows between the passes.
template <class T>
class SampledTransform {
 public:
  /// `data` is the operand with positions, `sampled` the one with samples as rows.
  SampledTransform(const SampledHadamard& sketch, std::int64_t first_position, const TensorView& data, const TensorView& sampled, Allocator& allocator)
      : sketch_(sketch), first_(first_position), data_(data), sampled_(sampled), lanes_(strip_lanes<T>(data.shape[1])),
        plan_(plan_samples(sketch.samples, sketch.log2_size, std::bit_width(static_cast<std::uint64_t>(kBlockBytes) / (sizeof(T) * static_cast<std::uint64_t>(lanes_))) - 1)),
        low_(plan_.low_size()), high_(plan_.high_size()), groups_(plan_.groups()), row_(groups_ | 1),
        leaf_(std::min<std::int64_t>(low_, kLeafBytes / (lanes_ * static_cast<std::int64_t>(sizeof(T))))),
        strips_((data.shape[1] + lanes_ - 1) / lanes_), batch_(std::min(strips_, worker_count())),
        first_block_(first_ / low_), end_block_((first_ + data.shape[0] + low_ - 1) / low_),
        block_(allocator, bytes(workers(end_block_ - first_block_) * low_), {}, {}), line_(allocator, bytes(workers(group_runs()) * high_), {}, {}),
        kept_(allocator, bytes(batch_ * (end_block_ - first_block_) * row_), {}, {}), sums_(allocator, bytes(batch_ * sampled.shape[0]), {}, {}) {}

  void project(T alpha, T beta) {
    for (std::int64_t strip = 0; strip < strips_; strip += batch_) {
      const std::int64_t strips = std::min(batch_, strips_ - strip), blocks = end_block_ - first_block_;
      parallel_tasks(strips * blocks, strips * blocks * low_ * lanes_, [&](std::int64_t worker, std::int64_t task) {
        project_block(strip + task / blocks, task / blocks, first_block_ + task % blocks, worker);
      });
      over_groups(strips, [&](std::int64_t s, std::int64_t group, std::int64_t worker) { project_group(s, group, worker); });
      parallel_for(strips, strips * sampled_.shape[0] * lanes_, [&](std::int64_t s) {
        store_strip(sums(s), alpha, beta, sampled_, 0, sampled_.shape[0], (strip + s) * lanes_, lanes_);
      });
    }
  }

  void lift(T alpha, T beta) {
    for (std::int64_t strip = 0; strip < strips_; strip += batch_) {
      const std::int64_t strips = std::min(batch_, strips_ - strip), blocks = end_block_ - first_block_;
      parallel_for(strips, strips * sampled_.shape[0] * lanes_, [&](std::int64_t s) {
        load_strip(sampled_, 0, sampled_.shape[0], (strip + s) * lanes_, lanes_, sums(s));
      });
      over_groups(strips, [&](std::int64_t s, std::int64_t group, std::int64_t worker) { lift_group(s, group, worker); });
      parallel_tasks(strips * blocks, strips * blocks * low_ * lanes_, [&](std::int64_t worker, std::int64_t task) {
        lift_block(strip + task / blocks, task / blocks, first_block_ + task % blocks, worker, alpha, beta);
      });
    }
  }

 private:
  std::size_t bytes(std::int64_t rows) const { return static_cast<std::size_t>(rows * lanes_) * sizeof(T); }
  T* sums(std::int64_t s) const { return static_cast<T*>(sums_.data()) + s * sampled_.shape[0] * lanes_; }
  T* kept(std::int64_t s, std::int64_t block) const {
    return static_cast<T*>(kept_.data()) + (s * (end_block_ - first_block_) + block - first_block_) * row_ * lanes_;
  }
  void copy_row(const T* from, T* to) const { std::memcpy(to, from, static_cast<std::size_t>(lanes_) * sizeof(T)); }

  /// Groups are done in runs, so that a task is worth its call.
  std::int64_t group_runs() const { return (groups_ + kGroupRun - 1) / kGroupRun; }
  std::int64_t workers(std::int64_t tasks_of_strip) const { return std::min(worker_count(), batch_ * tasks_of_strip); }

  /// body(strip, group, worker).
  template <class Body>
  void over_groups(std::int64_t strips, Body&& body) {
    const std::int64_t runs = group_runs();
    parallel_tasks(strips * runs, strips * groups_ * high_ * lanes_, [&](std::int64_t worker, std::int64_t task) {
      const std::int64_t begin = task % runs * kGroupRun, end = std::min(groups_, begin + kGroupRun);
      for (std::int64_t group = begin; group < end; ++group) body(task / runs, group, worker);
    });
  }

  void project_block(std::int64_t strip, std::int64_t s, std::int64_t block, std::int64_t worker) const {
    T* tile = static_cast<T*>(block_.data()) + worker * low_ * lanes_;
    for (std::int64_t part = 0; part < low_; part += leaf_) {
      const std::int64_t position = block * low_ + part, begin = std::max(position, first_), end = std::min(position + leaf_, first_ + data_.shape[0]);
      T* rows = tile + part * lanes_;
      if (end - begin < leaf_) std::fill(rows, rows + leaf_ * lanes_, T{0});
      if (end <= begin) continue;
      T* own = rows + (begin - position) * lanes_;
      load_strip(data_, begin - first_, end - begin, strip * lanes_, lanes_, own);
      flip_rows(sketch_.signs, begin, end - begin, lanes_, own);
      walsh_hadamard(rows, leaf_, lanes_);
    }
    walsh_hadamard_above(tile, leaf_, low_, lanes_);
    T* to = kept(s, block);
    for (std::int64_t group = 0; group < groups_; ++group) copy_row(tile + plan_.low[static_cast<std::size_t>(group)] * lanes_, to + group * lanes_);
  }

  void project_group(std::int64_t s, std::int64_t group, std::int64_t worker) const {
    T* line = static_cast<T*>(line_.data()) + worker * high_ * lanes_;
    if (end_block_ - first_block_ < high_) std::fill(line, line + high_ * lanes_, T{0});
    for (std::int64_t block = first_block_; block < end_block_; ++block) copy_row(kept(s, block) + group * lanes_, line + block * lanes_);
    walsh_hadamard(line, high_, lanes_);
    for (std::int64_t e = plan_.begin[static_cast<std::size_t>(group)]; e < plan_.begin[static_cast<std::size_t>(group) + 1]; ++e) {
      const auto entry = static_cast<std::size_t>(e);
      copy_row(line + plan_.high[entry] * lanes_, sums(s) + plan_.output[entry] * lanes_);
    }
  }

  void lift_group(std::int64_t s, std::int64_t group, std::int64_t worker) const {
    T* line = static_cast<T*>(line_.data()) + worker * high_ * lanes_;
    std::fill(line, line + high_ * lanes_, T{0});
    for (std::int64_t e = plan_.begin[static_cast<std::size_t>(group)]; e < plan_.begin[static_cast<std::size_t>(group) + 1]; ++e) {
      const auto entry = static_cast<std::size_t>(e);
      copy_row(sums(s) + plan_.output[entry] * lanes_, line + plan_.high[entry] * lanes_);
    }
    walsh_hadamard(line, high_, lanes_);
    for (std::int64_t block = first_block_; block < end_block_; ++block) copy_row(line + block * lanes_, kept(s, block) + group * lanes_);
  }

  void lift_block(std::int64_t strip, std::int64_t s, std::int64_t block, std::int64_t worker, T alpha, T beta) const {
    T* tile = static_cast<T*>(block_.data()) + worker * low_ * lanes_;
    std::fill(tile, tile + low_ * lanes_, T{0});
    const T* from = kept(s, block);
    for (std::int64_t group = 0; group < groups_; ++group) copy_row(from + group * lanes_, tile + plan_.low[static_cast<std::size_t>(group)] * lanes_);
    walsh_hadamard(tile, low_, lanes_);
    for (std::int64_t part = 0; part < low_; part += leaf_) {
      const std::int64_t position = block * low_ + part, begin = std::max(position, first_), end = std::min(position + leaf_, first_ + data_.shape[0]);
      if (end <= begin) continue;
      T* own = tile + (begin - block * low_) * lanes_;
      flip_rows(sketch_.signs, begin, end - begin, lanes_, own);
      store_strip(own, alpha, beta, data_, begin - first_, end - begin, strip * lanes_, lanes_);
    }
  }

  const SampledHadamard& sketch_;
  std::int64_t first_;
  const TensorView& data_;
  const TensorView& sampled_;
  int lanes_;
  SamplePlan plan_;
  std::int64_t low_, high_, groups_, row_;  ///< row_ is odd: rows of one group do not fall into one cache set
  std::int64_t leaf_, strips_, batch_, first_block_, end_block_;
  Workspace block_, line_, kept_, sums_;
};

template <class T>
void transform(T scale, const TensorView& x, Allocator& allocator) {
  const int lanes = strip_lanes<T>(x.shape[1]);
  const std::int64_t strips = (x.shape[1] + lanes - 1) / lanes, rows = x.shape[0];
  const Workspace memory(allocator, static_cast<std::size_t>(std::min(strips, worker_count()) * rows * lanes) * sizeof(T), {}, {});
  parallel_tasks(strips, strips * rows * lanes, [&](std::int64_t worker, std::int64_t strip) {
    T* tile = static_cast<T*>(memory.data()) + worker * rows * lanes;
    load_strip(x, 0, rows, strip * lanes, lanes, tile);
    walsh_hadamard(tile, rows, lanes);
    store_strip(tile, scale, T{0}, x, 0, rows, strip * lanes, lanes);
  });
}

template <class T>
void expand(const SampledHadamard& sketch, std::int64_t first_position, T scale, const TensorView& out) {
  parallel_for(out.shape[0], out.numel(), [&](std::int64_t k) {
    const auto row = static_cast<std::uint64_t>(sketch.samples[static_cast<std::size_t>(k)]);
    T* to = out.as<T>() + k * out.strides[0];
    PhiloxBlock bits{};
    for (std::int64_t p = 0; p < out.shape[1]; ++p) {
      const std::int64_t position = first_position + p;
      if (p == 0 || position % 128 == 0) bits = sign_block(sketch.signs, 0, static_cast<std::uint32_t>(position / 128));
      const std::uint32_t flip = (bits.word[position / 32 % 4] >> (position % 32)) & 1u;
      const auto parity = static_cast<std::uint32_t>(std::popcount(row & static_cast<std::uint64_t>(position)));
      to[p * out.strides[1]] = with_sign(scale, (flip ^ parity) & 1u);
    }
  });
}

}  // namespace

void hadamard_project(const SampledHadamard& sketch, std::int64_t first_position, double alpha, const TensorView& a_PC, double beta,
                      const TensorView& out_KC, Allocator& allocator, Stream) {
  check::hadamard_product("hadamard_project", sketch, first_position, out_KC.shape[0], a_PC.shape[0], a_PC, out_KC);
  if (out_KC.numel() == 0) return;
  if (a_PC.shape[0] == 0) return scale_matrix(beta, out_KC);
  if (out_KC.dtype == DType::f64) return SampledTransform<double>(sketch, first_position, a_PC, out_KC, allocator).project(alpha, beta);
  SampledTransform<float>(sketch, first_position, a_PC, out_KC, allocator).project(static_cast<float>(alpha), static_cast<float>(beta));
}

void hadamard_lift(const SampledHadamard& sketch, std::int64_t first_position, double alpha, const TensorView& a_KC, double beta,
                   const TensorView& out_PC, Allocator& allocator, Stream) {
  check::hadamard_product("hadamard_lift", sketch, first_position, a_KC.shape[0], out_PC.shape[0], a_KC, out_PC);
  if (out_PC.numel() == 0) return;
  if (a_KC.shape[0] == 0) return scale_matrix(beta, out_PC);
  if (out_PC.dtype == DType::f64) return SampledTransform<double>(sketch, first_position, out_PC, a_KC, allocator).lift(alpha, beta);
  SampledTransform<float>(sketch, first_position, out_PC, a_KC, allocator).lift(static_cast<float>(alpha), static_cast<float>(beta));
}

void hadamard_expand(const SampledHadamard& sketch, std::int64_t first_position, double scale, const TensorView& out_KP, Allocator&, Stream) {
  check::hadamard_window("hadamard_expand", sketch, first_position, out_KP.shape[0], out_KP.shape[1], out_KP);
  switch (out_KP.dtype) {
    case DType::f64: return expand<double>(sketch, first_position, scale, out_KP);
    case DType::f32: return expand<float>(sketch, first_position, static_cast<float>(scale), out_KP);
    case DType::bf16: return expand<Bf16>(sketch, first_position, convert<Bf16>(scale), out_KP);
    case DType::f16: return expand<F16>(sketch, first_position, convert<F16>(scale), out_KP);
    case DType::i64: case DType::i32: case DType::u8: return;
  }
}

void hadamard_transform(double scale, const TensorView& x_NC, Allocator& allocator, Stream) {
  check::hadamard_transform(x_NC);
  if (x_NC.numel() == 0) return;
  if (x_NC.dtype == DType::f64) return transform<double>(scale, x_NC, allocator);
  transform<float>(static_cast<float>(scale), x_NC, allocator);
}

}  // namespace panther::cpu
