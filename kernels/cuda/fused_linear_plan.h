#pragma once
// Geometry of the small batch's one kernel as pure functions, so that it is tested without a GPU.
#include <cstddef>

#include "kernels/cuda/launch_plan.h"

namespace panther::cuda {

inline constexpr std::int64_t kFusedRows = 64;      ///< batch rows at most
inline constexpr std::int64_t kFusedInputs = 128;   ///< of one slice of X: one Philox block per factor row
inline constexpr std::int64_t kFusedOutputs = 64;   ///< columns of Y that a block makes at a time

/// Every block sums its slices of X P into a partial H of its own; after a barrier the blocks add up shares of all partials in block
/// order; after a second one each block reads H into shared memory and makes its columns of Y. All blocks must be resident at once.
struct FusedPlan {
  bool possible = false;
  unsigned blocks = 0;
  std::size_t shared_bytes = 0;
  std::size_t workspace_bytes = 0;  ///< two barrier counters (256 bytes), blocks partial sums, H
};

/// `inner`: rows of the factors (2 R). `accumulator_bytes`: 4, or 8 for f64. `resident_blocks`: what the device holds at once.
inline FusedPlan plan_fused_forward(std::int64_t rows, std::int64_t inputs, std::int64_t outputs, std::int64_t inner, std::int64_t accumulator_bytes,
                                    std::int64_t resident_blocks, std::size_t shared_limit, std::size_t workspace) {
  FusedPlan plan;
  if (rows < 1 || rows > kFusedRows || inputs < 1 || outputs < 1 || inner < 1) return plan;
  const std::int64_t slices = divide_up(inputs, kFusedInputs), columns = divide_up(outputs, kFusedOutputs);
  plan.blocks = static_cast<unsigned>(std::min(resident_blocks, std::max(slices, columns)));
  const std::int64_t values = rows * std::max(inner, kFusedInputs), words = inner * (kFusedInputs / 32);
  plan.shared_bytes = static_cast<std::size_t>(values * accumulator_bytes + words * 4);
  plan.workspace_bytes = 256 + static_cast<std::size_t>((plan.blocks + 1) * rows * inner * accumulator_bytes);
  plan.possible = plan.blocks > 0 && plan.shared_bytes <= shared_limit && plan.workspace_bytes <= workspace;
  return plan;
}

}  // namespace panther::cuda
