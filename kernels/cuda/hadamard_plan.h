#pragma once
// Launch geometry of the Hadamard kernels as pure functions, so that it is tested without a GPU.
#include <algorithm>
#include <cstdint>

#include "kernels/cuda/launch_plan.h"

namespace panther::cuda {

/// Shared memory of a block's tile: three such blocks are at work on one multiprocessor of an H100, two on an A100's.
inline constexpr std::int64_t kHadamardTileBytes = 64 * 1024;
/// Rows kept between the passes, for a panel of columns: they should come back from the L2 cache.
inline constexpr std::int64_t kHadamardPanelBytes = std::int64_t{16} << 20;
inline constexpr int kHadamardLanes = 8;

/// A tile is rows x lanes; both passes use tiles of the same number of lanes.
struct HadamardTiles {
  int lanes = 1;      ///< columns of a tile, a power of two
  int low_bits = 0;   ///< of the first pass; the second transforms the others
  bool fits = false;  ///< false: even one lane of a two-pass transform is too long
};

/// `element_bytes` of the accumulator. The most lanes (as many as there are columns, up to kHadamardLanes) with which two passes suffice.
inline HadamardTiles plan_hadamard_tiles(int log2_size, std::int64_t columns, std::int64_t element_bytes) {
  HadamardTiles tiles;
  tiles.lanes = 1;
  while (tiles.lanes < kHadamardLanes && tiles.lanes < columns) tiles.lanes *= 2;
  for (;; tiles.lanes /= 2) {
    int row_bits = 0;
    while ((element_bytes * tiles.lanes << (row_bits + 1)) <= kHadamardTileBytes) ++row_bits;
    tiles.low_bits = std::min(row_bits, log2_size);
    tiles.fits = log2_size <= 2 * row_bits;
    if (tiles.fits || tiles.lanes == 1) return tiles;
  }
}

/// Columns of a panel: a multiple of the lanes, all that there are at most.
inline std::int64_t plan_hadamard_panel(std::int64_t kept_rows, std::int64_t columns, int lanes, std::int64_t element_bytes) {
  const std::int64_t fitting = kHadamardPanelBytes / std::max<std::int64_t>(1, kept_rows * element_bytes) / lanes * lanes;
  return std::clamp<std::int64_t>(fitting, lanes, divide_up(columns, lanes) * lanes);
}

/// Passes of a whole transform in place: each transforms `bits` bits of the row number, low ones first.
struct TransformPlan {
  int passes = 0;     ///< 0: not this way
  int bits[3] = {};
  int lanes = 1;      ///< columns of a tile
};

/// As few passes as tiles of two sectors' width allow. More than one pass keeps sums in x between them: only where the element is its own accumulator.
inline TransformPlan plan_transform(int log2_size, std::int64_t columns, std::int64_t accumulator_bytes, bool exact_between) {
  TransformPlan plan;
  const std::int64_t least = std::max<std::int64_t>(1, 64 / accumulator_bytes);
  while (plan.lanes < least && plan.lanes < columns) plan.lanes *= 2;
  int most = 0;
  while ((accumulator_bytes * plan.lanes << (most + 1)) <= kHadamardTileBytes) ++most;
  const int passes = std::max(1, (log2_size + most - 1) / most);
  if (passes > 3 || (passes > 1 && !exact_between)) return plan;
  plan.passes = passes;
  for (int i = 0, left = log2_size; i < passes; left -= plan.bits[i], ++i) plan.bits[i] = (left + passes - i - 1) / (passes - i);
  // Shorter tiles may be wider: full cache lines.
  const int longest = plan.bits[0];
  while (plan.lanes < 32 && plan.lanes < columns && (accumulator_bytes * 2 * plan.lanes << longest) <= kHadamardTileBytes) plan.lanes *= 2;
  return plan;
}

/// Which rows one thread combines in a radix step: group g of rows / radix at a distance has its first row here, the others follow at
/// multiples of the distance. Requires a power of two.
PANTHER_HOST_DEVICE constexpr std::int64_t first_row_of_group(std::int64_t group, std::int64_t distance, int radix) {
  return group / distance * (distance * radix) + group % distance;
}

/// The radix of the next step from a distance: 8 while that much is left, then what is left.
PANTHER_HOST_DEVICE constexpr int next_radix(std::int64_t distance, std::int64_t rows) {
  return rows / distance >= 8 ? 8 : static_cast<int>(rows / distance);
}

}  // namespace panther::cuda
