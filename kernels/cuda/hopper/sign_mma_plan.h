#pragma once
// Geometry of sign_mma as a pure function, so that it is tested without a GPU.
#include <algorithm>
#include <cstdint>

#include "kernels/cuda/launch_plan.h"

namespace panther::cuda {

inline constexpr int kWarpgroup = 128;
inline constexpr int kSignThreads = 2 * kWarpgroup;
/// A block's tile of the result: vectors by columns of the data.
inline constexpr int kSignRows = 256, kSignColumns = 128;
/// Elements of one stage: half a Philox block; a line of 128 bytes.
inline constexpr int kSignDepth = 64;
inline constexpr int kSignStageBytes = kSignDepth * kSignColumns * 2;
inline constexpr int kSignStages = 8;

struct SignMmaPlan {
  unsigned column_tiles = 0, row_tiles = 0, splits = 0;  ///< no splits: another kernel should do it
  std::int64_t elements_per_split = 0;                   ///< whole Philox blocks of 128
};

/// As many splits of the depth as fill the device once, each long enough to pay for its sums, and none so long that the tensor cores, which add towards zero,
/// would lose more than the data's own rounding (2^17 elements are 8192 additions: some 3e-4). A tile is taken from two thirds full on.
inline SignMmaPlan plan_sign_mma(std::int64_t vectors, std::int64_t columns, std::int64_t elements, int multiprocessors) {
  constexpr std::int64_t kLeastElements = 2048, kMostElements = 1 << 17;
  SignMmaPlan plan;
  if (multiprocessors == 0) return plan;
  const std::int64_t row_tiles = divide_up(vectors, kSignRows), column_tiles = divide_up(columns, kSignColumns);
  if (3 * vectors * columns < 2 * row_tiles * kSignRows * column_tiles * kSignColumns || row_tiles > 65535) return plan;
  const std::int64_t fill = std::max<std::int64_t>(1, multiprocessors / (row_tiles * column_tiles)), splits = std::max(std::min(fill, elements / kLeastElements), elements < kLeastElements ? 0 : divide_up(elements, kMostElements));
  if (splits < 1) return plan;
  plan.elements_per_split = divide_up(divide_up(elements, splits), 128) * 128;
  plan.column_tiles = static_cast<unsigned>(column_tiles);
  plan.row_tiles = static_cast<unsigned>(row_tiles);
  plan.splits = static_cast<unsigned>(divide_up(elements, plan.elements_per_split));
  return plan;
}

}  // namespace panther::cuda
