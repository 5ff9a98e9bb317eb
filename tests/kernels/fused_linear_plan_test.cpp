#include "kernels/cuda/fused_linear_plan.h"

#include <gtest/gtest.h>

namespace panther::cuda {
namespace {

constexpr std::size_t kShared = 227 << 10, kWorkspace = std::size_t{32} << 20;

// H100/H200: 132 multiprocessors, 227 KiB of shared memory, 32 MiB of workspace.
FusedPlan plan(std::int64_t rows, std::int64_t inputs, std::int64_t outputs, std::int64_t inner, std::int64_t bytes = 4) {
  return plan_fused_forward(rows, inputs, outputs, inner, bytes, 132, kShared, kWorkspace);
}

TEST(FusedLinearPlan, DecodeBatchesFit) {
  const FusedPlan decode = plan(16, 8192, 8192, 128);
  EXPECT_TRUE(decode.possible);
  EXPECT_EQ(decode.blocks, 128u) << "one tile of 64 outputs each";
  EXPECT_EQ(decode.shared_bytes, 16u * 128 * 4 + 128u * 4 * 4);
  EXPECT_EQ(decode.workspace_bytes, 256u + 129u * 16 * 128 * 4);
  EXPECT_TRUE(plan(64, 8192, 8192, 512).possible);
}

TEST(FusedLinearPlan, BlocksAreNeverMoreThanFitAtOnce) {
  for (const std::int64_t outputs : {1, 63, 64, 65, 1 << 20}) {
    const FusedPlan p = plan(1, 100, outputs, 2);
    EXPECT_GE(p.blocks, 1u);
    EXPECT_LE(p.blocks, 132u);
  }
}

TEST(FusedLinearPlan, RefusesWhatDoesNotFit) {
  EXPECT_FALSE(plan(65, 1024, 1024, 32).possible) << "rows";
  EXPECT_FALSE(plan(0, 1024, 1024, 32).possible);
  EXPECT_FALSE(plan(64, 1024, 1024, 1024, 4).possible) << "H of 256 KiB in shared memory";
  EXPECT_FALSE(plan(64, 1024, 1024, 512, 8).possible) << "the same in f64";
  EXPECT_FALSE(plan_fused_forward(16, 1024, 1024, 32, 4, 132, kShared, 1024).possible) << "workspace";
  EXPECT_FALSE(plan_fused_forward(16, 1024, 1024, 32, 4, 0, kShared, kWorkspace).possible) << "no multiprocessor";
}

}  // namespace
}  // namespace panther::cuda
