// The contract over device memory: NCCL, a world of one, and host backends through pinned memory.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>

#include "comm/backends/half_sum.h"
#include "comm/group.h"
#include "core/error.h"
#include "kernels/cuda/device_memory.h"
#include "kernels/kernel_set.h"
#include "tests/comm/backend_why_not.h"
#include "tests/comm/coded_values.h"
#include "tests/comm/collective_contract.h"
#include "tests/comm/host_facade.h"

namespace panther::comm::testing {
namespace {

using std::chrono::milliseconds;

GroupOptions device_options(const std::string& backend, int rank, int ranks, const std::shared_ptr<Store>& store) {
  GroupOptions options;
  options.backend = backend;
  options.rank = options.local_rank = rank;
  options.size = options.local_size = ranks;
  options.device = {DeviceKind::cuda, 0};
  options.store = store;
  options.timeout = std::chrono::seconds(60);
  return options;
}

class DeviceCollective : public ::testing::TestWithParam<std::pair<const char*, int>> {
 protected:
  void SetUp() override {
    if (device_count() == 0) GTEST_SKIP() << "no device: " << why_no_cuda();
    if (const std::string reason = why_not(GetParam().first); !reason.empty()) GTEST_SKIP() << GetParam().first << ": " << reason;
  }

  void on_every_rank(const std::function<void(Collective&)>& body) {
    const auto [backend, ranks] = GetParam();
    const auto store = make_memory_store();
    std::vector<std::thread> threads;
    for (int rank = 0; rank < ranks; ++rank) {
      threads.emplace_back([&, rank, backend = backend, ranks = ranks] {
        try {
          std::unique_ptr<Collective> group = make_collective(device_options(backend, rank, ranks, store));
          EXPECT_EQ(group->device(), DeviceKind::cuda);
          group = make_host_facade(std::move(group), 0);
          body(*group);
        } catch (const Error& error) {
          ADD_FAILURE() << "rank " << rank << ": " << error.what();
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
  }
};

TEST_P(DeviceCollective, KnowsItsPlace) {
  on_every_rank([&](Collective& group) { check_facts(group, GetParam().second); });
}
TEST_P(DeviceCollective, AllReduceSums) { on_every_rank(check_all_reduce_sum); }
TEST_P(DeviceCollective, AllReduceFindsExtremes) { on_every_rank(check_all_reduce_extremes); }
TEST_P(DeviceCollective, AllReduceOfAMillion) { on_every_rank(check_all_reduce_large); }
TEST_P(DeviceCollective, HalvesAreRoundedOnce) { on_every_rank(check_one_rounding); }
TEST_P(DeviceCollective, AllRanksAndRunsGiveTheSameBits) { on_every_rank(check_same_bits); }
TEST_P(DeviceCollective, AllGather) { on_every_rank(check_all_gather); }
TEST_P(DeviceCollective, ReduceScatter) { on_every_rank(check_reduce_scatter); }
TEST_P(DeviceCollective, Broadcast) { on_every_rank(check_broadcast); }
TEST_P(DeviceCollective, AllToAll) { on_every_rank(check_all_to_all); }
TEST_P(DeviceCollective, SendRecv) { on_every_rank(check_send_recv); }
TEST_P(DeviceCollective, Barrier) { on_every_rank(check_barrier); }
TEST_P(DeviceCollective, ManyInARow) { on_every_rank(check_many_in_a_row); }
TEST_P(DeviceCollective, Split) { on_every_rank(check_split); }

INSTANTIATE_TEST_SUITE_P(Backends, DeviceCollective,
                         ::testing::Values(std::pair{"self", 1}, std::pair{"nccl", 1}, std::pair{"threads", 2}, std::pair{"threads", 3},
                                           std::pair{"tcp", 2}, std::pair{"gloo", 2}),
                         [](const auto& instance) { return std::string(instance.param.first) + "_" + std::to_string(instance.param.second); });

class NcclTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (const std::string reason = why_not("nccl"); !reason.empty()) GTEST_SKIP() << "nccl: " << reason;
  }
};

ErrorCode code_of(const std::function<void()>& body) {
  try {
    body();
  } catch (const Error& error) {
    return error.code();
  }
  ADD_FAILURE() << "no error was thrown";
  return ErrorCode::Internal;
}

TEST_F(NcclTest, AbortMakesLaterCallsPeerLost) {
  const auto group = make_collective(device_options("nccl", 0, 1, nullptr));
  group->barrier(Deadline::after(std::chrono::seconds(20)));
  group->abort();
  EXPECT_EQ(code_of([&] { group->barrier(Deadline::after(std::chrono::seconds(20))); }), ErrorCode::PeerLost);
}

TEST_F(NcclTest, ARankThatNeverComesIsTimeout) {
  GroupOptions options = device_options("nccl", 0, 2, make_memory_store());
  options.timeout = milliseconds(500);
  const auto begin = std::chrono::steady_clock::now();
  EXPECT_EQ(code_of([&] { make_collective(options); }), ErrorCode::Timeout);
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(20));
}

TEST_F(NcclTest, HostMemoryIsRefused) {
  GroupOptions options = device_options("nccl", 0, 1, nullptr);
  options.device = {};
  EXPECT_EQ(code_of([&] { make_collective(options); }), ErrorCode::InvalidArgument);
}

}  // namespace
}  // namespace panther::comm::testing
