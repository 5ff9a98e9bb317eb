#pragma once
// Geometry of narrow_product as pure functions, so that it is tested without a GPU.
#include <algorithm>
#include <cstdint>

#include "kernels/cuda/launch_plan.h"

namespace panther::cuda {

inline constexpr int kNarrowThreads = 256;
inline constexpr int kNarrowRows = 128;   ///< of a block's tile: two warpgroups of 64
inline constexpr int kNarrowDepth = 32;   ///< elements of a stage: a line of 128 bytes
inline constexpr int kNarrowStages = 4;
/// Sums leave the tensor cores, which round towards zero, after so much depth.
inline constexpr int kNarrowSegment = 256;

struct NarrowPlan {
  int columns = 0;  ///< of a tile, 80 or 144; 0: another kernel should do it
  unsigned row_tiles = 0, column_tiles = 0, splits = 0;
  std::int64_t depth_per_split = 0;  ///< whole segments
};

/// Worth it for a long sum over a large matrix with few, but not very few, columns beside it: the sums' own memory stays below an eighth of the matrix.
inline NarrowPlan plan_narrow_product(std::int64_t rows, std::int64_t columns, std::int64_t depth, int multiprocessors) {
  constexpr std::int64_t kLeastSide = 2048, kLeastColumns = 40, kMostColumns = 432;
  NarrowPlan plan;
  if (multiprocessors == 0 || rows < kLeastSide || depth < kLeastSide || columns < kLeastColumns || columns > kMostColumns || depth < 8 * columns) return plan;
  plan.columns = divide_up(columns, 80) * 80 < divide_up(columns, 144) * 144 ? 80 : 144;
  plan.row_tiles = static_cast<unsigned>(divide_up(rows, kNarrowRows));
  plan.column_tiles = static_cast<unsigned>(divide_up(columns, plan.columns));
  const std::int64_t tiles = std::int64_t{plan.row_tiles} * plan.column_tiles, splits = std::max<std::int64_t>(1, std::min(multiprocessors / tiles, depth / 1024));
  plan.depth_per_split = divide_up(divide_up(depth, splits), kNarrowSegment) * kNarrowSegment;
  plan.splits = static_cast<unsigned>(divide_up(depth, plan.depth_per_split));
  return plan;
}

/// Which element of a stage stands at a slot of depth, so that a thread reads what its fragments need in few, wide loads without bank conflicts: slots of
/// fragments are 16 h + 8 s + 4 p + t, thread t of four taking slots t and t + 4 of each product.
PANTHER_HOST_DEVICE inline int narrow_element_of_slot(int slot, bool depth_near) {
  const int h = slot / 16, s = slot / 8 % 2, p = slot / 4 % 2, t = slot % 4;
  return depth_near ? 8 * t + 4 * h + 2 * s + p : 16 * h + 8 * s + 2 * t + p;
}

}  // namespace panther::cuda
