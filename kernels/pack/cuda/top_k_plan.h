#pragma once
// How a selection of the largest elements is cut over blocks, and how its scratch is shared out.
#include <algorithm>
#include <cstdint>

#include "kernels/cuda/launch_plan.h"
#include "kernels/pack/pack_kernels.h"

namespace panther::cuda {

inline constexpr int kTopKBins = 2048;
inline constexpr std::int64_t kTopKTile = 4 * kThreads;      ///< elements that a block orders at a time
inline constexpr std::int64_t kTopKMostBlocks = 1024;         ///< enough for every GPU; each empties a histogram of its own

/// Words of the scratch: three histograms, what the digits found so far say, and two counts of each block.
struct TopKWords {
  PANTHER_HOST_DEVICE static constexpr std::int64_t histogram(int digit) { return static_cast<std::int64_t>(digit) * kTopKBins; }
  static constexpr std::int64_t prefix = 3 * kTopKBins;      ///< bits found so far
  static constexpr std::int64_t wanted = prefix + 1;         ///< elements still wanted among those with that prefix
  static constexpr std::int64_t zeroed = prefix + 2;         ///< words that must be 0 before
  static constexpr std::int64_t above = 4 * kTopKBins;
  static constexpr std::int64_t equal = above + kTopKMostBlocks;
  static constexpr std::int64_t end = equal + kTopKMostBlocks;
};
static_assert(TopKWords::zeroed <= TopKWords::above && TopKWords::end <= kTopKScratch);

/// Block b takes elements [b segment, (b + 1) segment), whole tiles.
struct TopKPlan {
  std::int64_t segment = 0;
  unsigned blocks = 0;
};

inline TopKPlan plan_top_k(std::int64_t count) {
  const std::int64_t tiles = divide_up(count, kTopKTile), tiles_each = std::max<std::int64_t>(1, divide_up(tiles, kTopKMostBlocks));
  return {tiles_each * kTopKTile, static_cast<unsigned>(divide_up(tiles, tiles_each))};
}

}  // namespace panther::cuda
