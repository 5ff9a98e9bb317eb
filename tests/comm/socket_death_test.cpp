// Ranks as processes over sockets: one is killed, stops, or never comes.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <functional>

#include "comm/group.h"
#include "core/error.h"
#include "core/exit_code.h"
#include "core/scratch_folder.h"
#include "tests/comm/backend_why_not.h"
#include "tests/comm/coded_values.h"

namespace panther::comm::testing {
namespace {

using std::chrono::milliseconds;

class SocketDeath : public ::testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    if (const std::string reason = why_not(GetParam()); !reason.empty()) GTEST_SKIP() << GetParam() << ": " << reason;
  }

  std::unique_ptr<Collective> join(int rank, int size, milliseconds timeout, const std::string& generation = "0/") {
    GroupOptions options;
    options.backend = GetParam();
    options.rank = options.local_rank = rank;
    options.size = options.local_size = size;
    options.store = make_prefix_store(make_file_store(folder_.path().string()), generation);
    options.timeout = timeout;
    return make_collective(options);
  }

  /// Forks a rank; its exit status is the body's result, or that of the error it threw.
  pid_t start(const std::function<int()>& body) {
    const pid_t child = ::fork();
    if (child != 0) return child;
    int status = 99;
    try {
      status = body();
    } catch (const Error& error) {
      status = exit_code_for(error.code());
    }
    ::_exit(status);
  }

  static int status_of(pid_t child) {
    int status = 0;
    ::waitpid(child, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  }

  ScratchFolder folder_;
};

/// All-reduces until something happens; throws what happened.
void exchange_until_failure(Collective& group, Deadline end, milliseconds each) {
  while (!end.passed()) {
    Values values(DType::f32, 200'000);
    group.all_reduce(values.view(), ReduceOp::sum, {}, Deadline::after(each));
  }
}

TEST_P(SocketDeath, AKilledRankIsPeerLostForAllOthersWhoCanMeetAgain) {
  constexpr int kRanks = 3;
  std::vector<pid_t> ranks;
  for (int rank = 0; rank < kRanks; ++rank) {
    ranks.push_back(start([&, rank] {
      const auto group = join(rank, kRanks, std::chrono::seconds(20));
      const auto begin = std::chrono::steady_clock::now();
      if (rank == 2) {
        for (int i = 0; i < 20; ++i) group->barrier(Deadline::after(std::chrono::seconds(10)));
        ::raise(SIGKILL);
      }
      for (int i = 0; i < 20; ++i) group->barrier(Deadline::after(std::chrono::seconds(10)));
      try {
        exchange_until_failure(*group, Deadline::after(std::chrono::seconds(20)), std::chrono::seconds(15));
        return 1;
      } catch (const Error& error) {
        if (error.code() != ErrorCode::PeerLost) return 2;
      }
      if (std::chrono::steady_clock::now() - begin > std::chrono::seconds(10)) return 3;
      // The survivors form the next generation in the same processes.
      const auto smaller = join(rank, 2, std::chrono::seconds(20), "1/");
      Values values(DType::f64, 1000);
      values.fill([&](std::int64_t i) { return coded(rank, i); });
      smaller->all_reduce(values.view(), ReduceOp::sum, {}, Deadline::after(std::chrono::seconds(10)));
      return values.first_wrong([](std::int64_t i) { return coded_sum(2, i); }) == -1 ? 0 : 4;
    }));
  }
  EXPECT_EQ(status_of(ranks[2]), 128 + SIGKILL);
  EXPECT_EQ(status_of(ranks[0]), 0);
  EXPECT_EQ(status_of(ranks[1]), 0);
}

TEST_P(SocketDeath, AStoppedRankIsTimeout) {
  std::vector<pid_t> ranks;
  for (int rank = 0; rank < 2; ++rank) {
    ranks.push_back(start([&, rank] {
      const auto group = join(rank, 2, std::chrono::seconds(20));
      group->barrier(Deadline::after(std::chrono::seconds(10)));
      if (rank == 1) ::raise(SIGSTOP);
      exchange_until_failure(*group, Deadline::after(std::chrono::seconds(10)), milliseconds(300));
      return 0;
    }));
  }
  EXPECT_EQ(status_of(ranks[0]), exit_code_for(ErrorCode::Timeout));
  ::kill(ranks[1], SIGKILL);
  EXPECT_EQ(status_of(ranks[1]), 128 + SIGKILL);
}

TEST_P(SocketDeath, ARankThatNeverComesIsTimeout) {
  const auto begin = std::chrono::steady_clock::now();
  const pid_t alone = start([&] {
    join(0, 2, milliseconds(300));
    return 0;
  });
  EXPECT_EQ(status_of(alone), exit_code_for(ErrorCode::Timeout));
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(5));
}

TEST_P(SocketDeath, AnInterfaceThatDoesNotExistIsNamed) {
  GroupOptions options;
  options.backend = GetParam();
  options.size = options.local_size = 2;
  options.store = make_memory_store();
  options.interface_address = "no-such-interface";
  options.timeout = milliseconds(300);
  try {
    make_collective(options);
    ADD_FAILURE() << "it connected";
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), ::testing::HasSubstr("no-such-interface"));
    EXPECT_THAT(error.what(), ::testing::HasSubstr("comm.interface_address"));
  }
}

INSTANTIATE_TEST_SUITE_P(Backends, SocketDeath, ::testing::Values("tcp", "gloo"), [](const auto& backend) { return backend.param; });

}  // namespace
}  // namespace panther::comm::testing
