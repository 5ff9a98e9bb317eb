// Launch geometry of the kernels of gradient compression.
#include <gtest/gtest.h>

#include "kernels/pack/cuda/low_rank_plan.h"
#include "kernels/pack/cuda/quantize_plan.h"
#include "kernels/pack/cuda/top_k_plan.h"

namespace panther::cuda {
namespace {

TEST(PackPlan, ATeamHoldsItsBlockOrReadsItAgain) {
  for (std::int64_t block = 8; block <= 70000; block += 8) {
    const QuantizePlan plan = plan_quantize(block, 1000);
    ASSERT_TRUE(plan.team == 32 || plan.team == 256 || plan.team == 512 || plan.team == 1024) << block;
    ASSERT_EQ(plan.threads % plan.team, 0);
    if (plan.quads == 0) {
      EXPECT_GT(block, 4 * 1024 * kQuantizeQuads);
      continue;
    }
    ASSERT_LE(plan.quads, kQuantizeQuads);
    EXPECT_GE(4ll * plan.team * plan.quads, block);
    // Half as many would not do.
    EXPECT_TRUE(plan.quads == 1 || 2ll * plan.team * plan.quads < block) << block;
  }
  EXPECT_EQ(plan_quantize(512, 1).team, 32);
  EXPECT_EQ(plan_quantize(512, 17).blocks, 3u);
  EXPECT_EQ(plan_quantize(65536, 17).blocks, 17u);
  EXPECT_EQ(plan_quantize(8, std::int64_t{1} << 40).blocks, static_cast<unsigned>(kQuantizeMostBlocks));
}

TEST(PackPlan, SegmentsOfTopKAreWholeTilesAndCoverEverything) {
  for (const std::int64_t count : {std::int64_t{1}, kTopKTile, kTopKTile + 1, kTopKTile * kTopKMostBlocks, kTopKTile * kTopKMostBlocks + 1, std::int64_t{4294967295}}) {
    const TopKPlan plan = plan_top_k(count);
    EXPECT_EQ(plan.segment % kTopKTile, 0);
    ASSERT_LE(plan.blocks, kTopKMostBlocks);
    EXPECT_GE(plan.segment * plan.blocks, count);
    EXPECT_LT(plan.segment * (plan.blocks - 1), count) << "a block without elements";
  }
}

TEST(PackPlan, NarrowMatricesAreCutIntoNarrowerColumns) {
  EXPECT_EQ(transposed_width(1), 8);
  EXPECT_EQ(transposed_width(2048), 8);
  EXPECT_EQ(transposed_width(32 * kBusyBlocks), 32);
  EXPECT_EQ(transposed_width(std::int64_t{1} << 40), 32);
  for (std::int64_t rank = 1; rank <= 32; ++rank) {
    EXPECT_GE(transposed_ranks(rank), rank);
    EXPECT_LT(transposed_ranks(rank), std::max<std::int64_t>(5, 2 * rank));
  }
}

}  // namespace
}  // namespace panther::cuda
