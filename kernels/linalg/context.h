#pragma once
// What every decomposition takes: where it runs, where memory comes from, how rows are split over ranks, whom to tell.
#include <functional>
#include <string_view>

#include "kernels/allocator.h"
#include "kernels/kernel_set.h"
#include "kernels/sketch/operator.h"

namespace panther::linalg {

/// Told at stage boundaries, from the calling thread: a stage's name and the share of the whole work done, in [0, 1]. It may throw to
/// stop the work; nothing is left half-written because results are only returned whole.
using Progress = std::function<void(std::string_view stage, double share)>;

struct Context {
  const KernelSet& kernels = cpu_kernels();
  Allocator& allocator = plain_allocator();
  Stream stream{};
  /// Row-split inputs: this rank holds rows [first_row, first_row + a.shape[0]) of `total_rows`. Factors with m rows come back split the
  /// same way, all others whole and with equal bits on every rank. Empty `sum_over_ranks`: one process, a is whole.
  /// Ranks decide (ranks of matrices, when to stop) from results that each computes for itself out of the same sums. Equal bits, and so equal
  /// decisions, need identical processors, libraries and thread counts on all ranks.
  SumOverRanks sum_over_ranks;
  std::int64_t first_row = 0;
  std::int64_t total_rows = -1;  ///< -1: a.shape[0]
  std::uint64_t seed = 0;        ///< of every random choice; equal seeds give equal results
  Progress progress;

  SketchContext sketch() const { return {kernels, allocator, stream}; }
  Device device_of(const TensorView& a) const { return a.device; }
  std::int64_t rows_of(const TensorView& a) const { return total_rows < 0 ? a.shape[0] : total_rows; }
  void tell(std::string_view stage, double share) const {
    if (progress) progress(stage, share);
  }
};

}  // namespace panther::linalg
