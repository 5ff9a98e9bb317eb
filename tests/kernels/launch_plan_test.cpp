#include "kernels/cuda/launch_plan.h"

#include <gtest/gtest.h>

#include <set>
#include <vector>

#include "kernels/cuda/hopper/narrow_product_plan.h"
#include "kernels/cuda/hopper/sign_mma_plan.h"
#include "kernels/cuda/pivoted_qr_plan.h"

namespace panther::cuda {
namespace {

TEST(LaunchPlan, ElementwiseCoversEverythingWithinTheGrid) {
  EXPECT_EQ(plan_elementwise(0).blocks, 0u);
  EXPECT_EQ(plan_elementwise(1).blocks, 1u);
  EXPECT_EQ(plan_elementwise(kChunk).blocks, 1u);
  EXPECT_EQ(plan_elementwise(kChunk + 1).blocks, 2u);
  EXPECT_EQ(plan_elementwise(std::int64_t{1} << 40).blocks, kMaxBlocks);
  EXPECT_EQ(kChunk % kThreads, 0);
}

TEST(LaunchPlan, TilesStayWithinTheGridLimits) {
  EXPECT_EQ(plan_tiles(1, 1, 64, 64).rows, 1u);
  EXPECT_EQ(plan_tiles(65, 129, 64, 64).rows, 2u);
  EXPECT_EQ(plan_tiles(65, 129, 64, 64).columns, 3u);
  EXPECT_EQ(plan_tiles(std::int64_t{1} << 30, 1, 64, 64).rows, 65535u);
}

// Every element of every tensor belongs to exactly one chunk, found from any starting guess not behind it.
TEST(LaunchPlan, ChunksPartitionTheTensors) {
  const std::vector<std::int64_t> sizes = {1, kChunk, kChunk + 1, 3, 10 * kChunk - 1};
  ChunkMap map;
  for (const std::int64_t size : sizes) map.add(size);
  std::vector<std::int64_t> covered(sizes.size(), 0);
  int walking = 0;
  for (std::int64_t chunk = 0; chunk < map.chunks; ++chunk) {
    walking = map.tensor_of(chunk, walking);
    EXPECT_EQ(walking, map.tensor_of(chunk, 0));
    const auto tensor = static_cast<std::size_t>(walking);
    const std::int64_t begin = (chunk - map.chunk_begin[walking]) * kChunk;
    ASSERT_EQ(begin, covered[tensor]);
    covered[tensor] += std::min(kChunk, sizes[tensor] - begin);
  }
  EXPECT_EQ(covered, sizes);
  EXPECT_EQ(map.chunks, 1 + 1 + 2 + 1 + 10);
}

TEST(LaunchPlan, AFullMapSaysSo) {
  ChunkMap map;
  int added = 0;
  while (!map.full() && added < 1000) EXPECT_EQ(map.add(5), added++);
  EXPECT_EQ(added, kTensorsPerLaunch);
  EXPECT_EQ(map.tensor_of(map.chunks - 1, 0), kTensorsPerLaunch - 1);
}

TEST(LaunchPlan, ColumnsAreDealtToAsFewBlocksAsWarpsAndMemoryAllow) {
  constexpr std::int64_t kShared = 225 * 1024;
  const auto small = deal_columns(640, 512, 8, 132, kShared);
  ASSERT_TRUE(small);
  EXPECT_EQ(small->blocks, 32u);
  EXPECT_EQ(small->columns_per_block, kPivotWarps);
  const auto one = deal_columns(5, 1, 4, 132, kShared);
  ASSERT_TRUE(one);
  EXPECT_EQ(one->blocks, 1u);
  for (const std::int64_t columns : {1, 17, 500, 2000, 8192}) {
    for (const std::int64_t rows : {1, 33, 192, 1280, 28000}) {
      const auto deal = deal_columns(rows, columns, 8, 132, kShared);
      if (!deal) {
        EXPECT_GT((rows * 8 + 16) * (columns / 132 + 1) + rows * 8, kShared) << rows << " x " << columns;
        continue;
      }
      EXPECT_GE(deal->blocks * deal->columns_per_block, columns);
      EXPECT_LE(deal->blocks, 132u);
      EXPECT_LE(static_cast<std::int64_t>(deal->shared_bytes), kShared);
    }
  }
  EXPECT_FALSE(deal_columns(40000, 4, 8, 132, kShared));
}

TEST(LaunchPlan, SplitsOfTheDepthCoverItOnce) {
  for (const std::int64_t elements : {2048, 6624, 100000, 1 << 20}) {
    const SignMmaPlan plan = plan_sign_mma(256, 1024, elements, 132);
    ASSERT_GT(plan.splits, 0u);
    EXPECT_EQ(plan.elements_per_split % 128, 0);
    EXPECT_GE(plan.splits * plan.elements_per_split, elements);
    EXPECT_LT((plan.splits - 1) * plan.elements_per_split, elements);
    EXPECT_LE(plan.splits * plan.row_tiles * plan.column_tiles, 132u);
  }
  EXPECT_LE(plan_sign_mma(8192, 8192, 1 << 20, 132).elements_per_split, 1 << 17);  // more tiles than multiprocessors
  EXPECT_EQ(plan_sign_mma(256, 1024, 1000, 132).splits, 0u);
  EXPECT_EQ(plan_sign_mma(100, 1024, 1 << 20, 132).splits, 0u);
  EXPECT_EQ(plan_sign_mma(256, 1024, 1 << 20, 0).splits, 0u);
  for (const std::int64_t depth : {2048, 3004, 16384}) {
    for (const std::int64_t columns : {74, 138, 200}) {
      const NarrowPlan plan = plan_narrow_product(4096, columns, depth, 132);
      ASSERT_GT(plan.columns, 0);
      EXPECT_GE(plan.column_tiles * static_cast<unsigned>(plan.columns), columns);
      EXPECT_EQ(plan.depth_per_split % kNarrowSegment, 0);
      EXPECT_GE(plan.splits * plan.depth_per_split, depth);
      EXPECT_LT((plan.splits - 1) * plan.depth_per_split, depth);
    }
  }
  EXPECT_EQ(plan_narrow_product(4096, 8, 4096, 132).columns, 0);
}

TEST(LaunchPlan, SlotsOfAStageHoldEveryElementOnce) {
  for (const bool depth_near : {false, true}) {
    std::set<int> elements;
    for (int slot = 0; slot < kNarrowDepth; ++slot) elements.insert(narrow_element_of_slot(slot, depth_near));
    EXPECT_EQ(elements.size(), 32u);
    EXPECT_EQ(*elements.begin(), 0);
    EXPECT_EQ(*elements.rbegin(), 31);
  }
}

// The reduction folds its partial sums with one block, whose tree halves the threads.
TEST(LaunchPlan, ReductionShapeFitsItsTree) {
  EXPECT_EQ(kReduceBlocks % kThreads, 0);
  EXPECT_EQ(kThreads & (kThreads - 1), 0);
}

// Tiles of a sketch product begin on whole generator blocks: the corner's absolute element is a multiple of the granule, tiles cover the
// window, and none lies wholly before it.
TEST(LaunchPlan, SketchTilesBeginOnWholeBlocks) {
  for (const std::int64_t granule : {4, 64, 128}) {
    for (const std::int64_t first : {0, 1, 63, 64, 127, 128, 1000003}) {
      const TileOrigin project = project_origin(first, granule), lift = lift_origin(first, granule);
      EXPECT_EQ((first - project.depth) % granule, 0);
      EXPECT_EQ((first - lift.column) % granule, 0);
      EXPECT_EQ(project.column + lift.depth, 0);
      EXPECT_LT(lift.column, granule);
      EXPECT_LT(project.depth, granule);
      if (granule > 64) continue;  // columns come in tiles of 64
      const TilePlan plan = plan_tiles(100, 130 + lift.column, 64, 64);
      EXPECT_GE(plan.columns * std::int64_t{64} - lift.column, 130);
      EXPECT_LT((plan.columns - 1) * std::int64_t{64} - lift.column, 130);
    }
  }
}

}  // namespace
}  // namespace panther::cuda
