// The contract of collectives on MPI: all ranks of one mpirun run the same tests in the same order.
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstring>
#include <iostream>
#include <thread>

#include "comm/group.h"
#include "core/env.h"
#include "core/error.h"
#include "tests/comm/coded_values.h"
#include "tests/comm/collective_contract.h"
#include "tests/comm/levels_world.h"

namespace panther::comm::testing {
namespace {

using std::chrono::milliseconds;

std::unique_ptr<Collective> group;
int world_size = 1;

std::unique_ptr<Collective> join(int extra_ranks) {
  const RankFacts facts = read_rank_facts(env_value);
  GroupOptions options;
  options.backend = "mpi";
  options.rank = facts.rank;
  options.size = facts.world_size + extra_ranks;
  options.local_rank = facts.local_rank;
  options.mpi_launched = facts.mpi_launched();
  world_size = facts.world_size;
  return make_collective(options);
}

TEST(MpiContract, KnowsItsPlace) {
  check_facts(*group, world_size);
  EXPECT_EQ(group->backend(), "mpi");
}
TEST(MpiContract, AllReduceSums) { check_all_reduce_sum(*group); }
TEST(MpiContract, AllReduceFindsExtremes) { check_all_reduce_extremes(*group); }
TEST(MpiContract, AllReduceOfAMillion) { check_all_reduce_large(*group); }
TEST(MpiContract, HalvesAreRoundedOnce) { check_one_rounding(*group); }
TEST(MpiContract, AllRanksAndRunsGiveTheSameBits) { check_same_bits(*group); }
TEST(MpiContract, ExtremesKeepNan) { check_extremes_of_nan(*group); }
TEST(MpiContract, AllGather) { check_all_gather(*group); }
TEST(MpiContract, ReduceScatter) { check_reduce_scatter(*group); }
TEST(MpiContract, Broadcast) { check_broadcast(*group); }
TEST(MpiContract, AllToAll) { check_all_to_all(*group); }
TEST(MpiContract, SendRecv) { check_send_recv(*group); }
TEST(MpiContract, Barrier) { check_barrier(*group); }
TEST(MpiContract, RefusesWrongArguments) { check_arguments(*group); }
TEST(MpiContract, ManyInARow) { check_many_in_a_row(*group); }
TEST(MpiContract, Split) { check_split(*group); }
TEST(MpiContract, TwoLevelsOfAnExchange) {
  if (group->size() < 3) GTEST_SKIP() << "two nodes, one of several ranks, are three ranks";
  Nodes pairs, first{0};
  for (int rank = 0; rank < group->size(); ++rank) pairs.push_back(rank / 2);
  first.resize(pairs.size(), 1);
  for (const Nodes& nodes : {pairs, first}) check_sums(*group, nodes);
}
TEST(MpiContract, ASecondGroupIsRefused) {
  try {
    join(0);
    ADD_FAILURE() << "MPI started twice";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::Unsupported) << error.what();
  }
}

/// Rank 0 waits for the others, which do not come.
void expect_failure(ErrorCode code, Deadline deadline) {
  const auto begin = std::chrono::steady_clock::now();
  for (const ErrorCode expected : {code, ErrorCode::PeerLost}) {
    Values values(DType::f32, 500'000);
    try {
      group->all_reduce(values.view(), ReduceOp::sum, {}, deadline);
      ADD_FAILURE() << "nobody else came, yet it returned";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), expected) << error.what();
    }
  }
  EXPECT_LT(std::chrono::steady_clock::now() - begin, milliseconds(2000));
}

TEST(MpiFailure, Deadline) {
  group->barrier(Deadline::after(std::chrono::seconds(20)));
  if (group->rank() == 0) return expect_failure(ErrorCode::Timeout, Deadline::after(milliseconds(60)));
  std::this_thread::sleep_for(milliseconds(3000));
}

TEST(MpiFailure, Abort) {
  group->barrier(Deadline::after(std::chrono::seconds(20)));
  if (group->rank() == 0) {
    std::thread aborter([] {
      std::this_thread::sleep_for(milliseconds(30));
      group->abort();
    });
    expect_failure(ErrorCode::PeerLost, Deadline::never());
    aborter.join();
    return;
  }
  std::this_thread::sleep_for(milliseconds(3000));
}

}  // namespace
}  // namespace panther::comm::testing

int main(int argc, char** argv) {
  using namespace panther;
  using namespace panther::comm::testing;
  ::testing::InitGoogleTest(&argc, argv);
  try {
    group = join(argc > 1 && std::strcmp(argv[1], "--expect-wrong-world") == 0 ? 1 : 0);
  } catch (const Error& error) {
    std::cerr << error.what() << std::endl;
    // MPI is running and has no group to end it.
    ::_exit(1);
  }
  const int rank = group->rank();
  if (rank != 0) {
    // One voice is enough, but failures of all ranks are printed.
    delete ::testing::UnitTest::GetInstance()->listeners().Release(::testing::UnitTest::GetInstance()->listeners().default_result_printer());
  }
  const int result = RUN_ALL_TESTS();
  for (int i = 0; rank != 0 && i < ::testing::UnitTest::GetInstance()->total_test_suite_count(); ++i) {
    const ::testing::TestSuite& suite = *::testing::UnitTest::GetInstance()->GetTestSuite(i);
    for (int t = 0; t < suite.total_test_count(); ++t) {
      const ::testing::TestResult& test = *suite.GetTestInfo(t)->result();
      for (int p = 0; p < test.total_part_count(); ++p) {
        if (test.GetTestPartResult(p).failed()) std::cout << "Failure on rank " << rank << ": " << test.GetTestPartResult(p).message() << std::endl;
      }
    }
  }
  if (result == 0) std::cout << "all checks of rank " << rank << " passed" << std::endl;
  group.reset();
  return result;
}
