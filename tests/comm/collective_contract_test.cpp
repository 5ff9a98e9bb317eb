// One contract over every backend whose ranks can be threads of this process.
#include "tests/comm/collective_contract.h"

#include <gtest/gtest.h>

#include <thread>

#include "comm/group.h"
#include "core/error.h"
#include "tests/comm/backend_why_not.h"
#include "tests/comm/coded_values.h"
#include "tests/comm/rank_world.h"

namespace panther::comm::testing {
namespace {

using std::chrono::milliseconds;

struct Instance {
  std::string backend;
  int ranks;
};

class CollectiveContract : public ::testing::TestWithParam<Instance> {
 protected:
  void SetUp() override {
    if (const std::string reason = why_not(GetParam().backend); !reason.empty()) GTEST_SKIP() << GetParam().backend << ": " << reason;
    world_ = make_rank_world(GetParam().backend, GetParam().ranks);
  }
  void on_every_rank(const std::function<void(Collective&)>& body) {
    world_->run([&](Collective& group, const std::function<void()>&) { body(group); });
  }
  std::unique_ptr<RankWorld> world_;
};

TEST_P(CollectiveContract, KnowsItsPlace) {
  on_every_rank([&](Collective& group) { check_facts(group, GetParam().ranks); });
}
TEST_P(CollectiveContract, AllReduceSums) { on_every_rank(check_all_reduce_sum); }
TEST_P(CollectiveContract, AllReduceFindsExtremes) { on_every_rank(check_all_reduce_extremes); }
TEST_P(CollectiveContract, AllReduceOfAMillion) { on_every_rank(check_all_reduce_large); }
TEST_P(CollectiveContract, HalvesAreRoundedOnce) { on_every_rank(check_one_rounding); }
TEST_P(CollectiveContract, AllRanksAndRunsGiveTheSameBits) { on_every_rank(check_same_bits); }
TEST_P(CollectiveContract, ExtremesKeepNan) { on_every_rank(check_extremes_of_nan); }
TEST_P(CollectiveContract, AllGather) { on_every_rank(check_all_gather); }
TEST_P(CollectiveContract, ReduceScatter) { on_every_rank(check_reduce_scatter); }
TEST_P(CollectiveContract, Broadcast) { on_every_rank(check_broadcast); }
TEST_P(CollectiveContract, AllToAll) { on_every_rank(check_all_to_all); }
TEST_P(CollectiveContract, SendRecv) { on_every_rank(check_send_recv); }
TEST_P(CollectiveContract, Barrier) { on_every_rank(check_barrier); }
TEST_P(CollectiveContract, RefusesWrongArguments) { on_every_rank(check_arguments); }
TEST_P(CollectiveContract, ManyInARow) { on_every_rank(check_many_in_a_row); }
TEST_P(CollectiveContract, Split) { on_every_rank(check_split); }

INSTANTIATE_TEST_SUITE_P(Backends, CollectiveContract,
                         ::testing::Values(Instance{"self", 1}, Instance{"threads", 1}, Instance{"threads", 2}, Instance{"threads", 3},
                                           Instance{"threads", 4}, Instance{"threads", 7}, Instance{"messages", 1}, Instance{"messages", 2},
                                           Instance{"messages", 3}, Instance{"messages", 4}, Instance{"messages", 7}, Instance{"tcp", 1}, Instance{"tcp", 2},
                                           Instance{"tcp", 3}, Instance{"tcp", 4}, Instance{"tcp", 7}, Instance{"gloo", 1},
                                           Instance{"gloo", 2}, Instance{"gloo", 3}, Instance{"gloo", 4}, Instance{"gloo", 7}),
                         [](const auto& instance) { return instance.param.backend + "_" + std::to_string(instance.param.ranks); });

/// What goes wrong between ranks; each test leaves a dead group.
class CollectiveFailure : public CollectiveContract {};

TEST_P(CollectiveFailure, DeadlineIsTimeoutAndThenTheGroupIsDead) {
  world_->run([](Collective& group, const std::function<void()>&) {
    group.barrier(Deadline::after(std::chrono::seconds(20)));
    Values values(DType::f32, 1000);
    if (group.rank() > 0) {
      std::this_thread::sleep_for(milliseconds(300));
      return;
    }
    const auto begin = std::chrono::steady_clock::now();
    try {
      group.all_reduce(values.view(), ReduceOp::sum, {}, Deadline::after(milliseconds(60)));
      ADD_FAILURE() << "nobody else came, yet it returned";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::Timeout) << error.what();
    }
    EXPECT_GE(std::chrono::steady_clock::now() - begin, milliseconds(60));
    EXPECT_LT(std::chrono::steady_clock::now() - begin, milliseconds(2000));
    try {
      group.barrier(Deadline::after(milliseconds(60)));
      ADD_FAILURE() << "a dead group worked";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::PeerLost) << error.what();
    }
  });
}

TEST_P(CollectiveFailure, AbortFromAnotherThreadIsPeerLost) {
  for (const std::int64_t count : {8, 1'000'000}) {
    make_rank_world(GetParam().backend, GetParam().ranks)->run([count](Collective& group, const std::function<void()>&) {
      group.barrier(Deadline::after(std::chrono::seconds(20)));
      if (group.rank() > 0) {
        std::this_thread::sleep_for(milliseconds(300));
        return;
      }
      std::thread aborter([&] {
        std::this_thread::sleep_for(milliseconds(30));
        group.abort();
      });
      Values values(DType::f32, count);
      const auto begin = std::chrono::steady_clock::now();
      try {
        group.all_reduce(values.view(), ReduceOp::sum, {}, Deadline::never());
        ADD_FAILURE() << "an aborted call returned";
      } catch (const Error& error) {
        EXPECT_EQ(error.code(), ErrorCode::PeerLost) << error.what();
      }
      EXPECT_LT(std::chrono::steady_clock::now() - begin, milliseconds(1000));
      aborter.join();
    });
  }
}

TEST_P(CollectiveFailure, ARankThatLeavesIsPeerLostForTheOthers) {
  world_->run([](Collective& group, const std::function<void()>& leave) {
    group.barrier(Deadline::after(std::chrono::seconds(20)));
    if (group.rank() == group.size() - 1) {
      std::this_thread::sleep_for(milliseconds(30));
      leave();
      return;
    }
    const auto begin = std::chrono::steady_clock::now();
    try {
      Values values(DType::f32, 300'000);
      group.all_reduce(values.view(), ReduceOp::sum, {}, Deadline::after(std::chrono::seconds(20)));
      ADD_FAILURE() << "a rank was gone, yet it returned";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::PeerLost) << error.what();
    }
    EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(5));
  });
}

INSTANTIATE_TEST_SUITE_P(Backends, CollectiveFailure,
                         ::testing::Values(Instance{"threads", 2}, Instance{"threads", 3}, Instance{"messages", 2}, Instance{"messages", 3},
                                           Instance{"tcp", 2}, Instance{"tcp", 3}, Instance{"gloo", 2}, Instance{"gloo", 3}),
                         [](const auto& instance) { return instance.param.backend + "_" + std::to_string(instance.param.ranks); });

}  // namespace
}  // namespace panther::comm::testing
