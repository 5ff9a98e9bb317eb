// Linked twice: with libgloo before torch, as our programs are, and after it.
#include <ATen/Parallel.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "comm/group.h"
#include "core/error.h"
#include "tests/comm/collective_contract.h"
#include "tests/comm/rank_world.h"

namespace panther::comm::testing {
namespace {

std::string why_no_gloo_here() {
  for (const BackendStatus& status : backend_statuses()) {
    if (status.name == "gloo") return status.why_not;
  }
  return "gloo is not in the list";
}

TEST(GlooWithTorch, WorksWhenFirstAndRefusesWhenNot) {
  ASSERT_GE(at::get_num_threads(), 1) << "torch is loaded";
  if (PANTHER_GLOO_FIRST != 0) {
    ASSERT_EQ(why_no_gloo_here(), "");
    make_rank_world("gloo", 3)->run([](Collective& group, const std::function<void()>&) {
      check_all_reduce_sum(group);
      check_many_in_a_row(group);
    });
    return;
  }
  EXPECT_THAT(why_no_gloo_here(), ::testing::HasSubstr("before torch"));
  try {
    make_rank_world("gloo", 2)->run([](Collective&, const std::function<void()>&) {});
    ADD_FAILURE() << "two glooes were mixed";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::Internal);
    EXPECT_THAT(error.what(), ::testing::HasSubstr("libtorch_cpu"));
    EXPECT_THAT(error.what(), ::testing::HasSubstr("before torch"));
  }
}

}  // namespace
}  // namespace panther::comm::testing
