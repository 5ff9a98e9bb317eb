// Signals of the user: finish and save, quit at once, save now.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>

#include "tests/launcher/panther_run.h"

namespace panther::launcher::testing {
namespace {

using std::chrono::milliseconds;
using ::testing::HasSubstr;
using ::testing::Not;

class StopRequest : public ::testing::TestWithParam<int> {};

TEST_P(StopRequest, ReachesTheRanksAsSigtermAndTheirPreemptionIsTheJobs) {
  PantherRun run({"train", "--nproc", "2", "*:trap", "0:out=up", "1:out=too", "*:until_term", "*:sleep=100", "0:out=saved", "*:exit=75"});
  ASSERT_TRUE(run.wait_for("up"));
  ASSERT_TRUE(run.wait_for("too"));
  run.signal(GetParam());
  const Finished end = run.finish();
  EXPECT_EQ(end.exit_code, 75);
  EXPECT_THAT(end.out, HasSubstr("saved"));
  EXPECT_THAT(end.err, HasSubstr("the ranks finish their step and save"));
  EXPECT_THAT(end.err, HasSubstr("continue with --resume"));
  EXPECT_THAT(end.err, Not(HasSubstr("failed")));
}

INSTANTIATE_TEST_SUITE_P(Signals, StopRequest, ::testing::Values(SIGINT, SIGTERM, SIGHUP));

TEST(Signal, SecondInterruptQuitsAtOnce) {
  PantherRun run({"train", "--nproc", "2", "*:deaf", "0:out=up", "1:out=too", "*:sleep=60000"});
  ASSERT_TRUE(run.wait_for("up"));
  ASSERT_TRUE(run.wait_for("too"));
  run.signal(SIGINT);
  ::usleep(100'000);
  run.signal(SIGINT);
  const Finished end = run.finish();
  EXPECT_EQ(end.exit_code, 130);
  EXPECT_THAT(end.err, HasSubstr("quitting at once"));
  EXPECT_LT(end.took, milliseconds(5000));
}

TEST(Signal, RanksWithoutAHandlerYetEndWithTheUsersSignal) {
  PantherRun run({"train", "--nproc", "2", "0:out=up", "*:sleep=60000"});
  ASSERT_TRUE(run.wait_for("up"));
  run.signal(SIGTERM);
  const Finished end = run.finish();
  EXPECT_EQ(end.exit_code, 143);
  EXPECT_THAT(end.err, HasSubstr("before the ranks could save"));
  EXPECT_THAT(end.err, Not(HasSubstr("failed")));
}

TEST(Signal, CheckpointRequestIsPassedOn) {
  PantherRun run({"train", "--nproc", "2", "*:trap_usr2", "0:out=up", "1:out=too", "*:until_usr2", "*:out=asked"});
  ASSERT_TRUE(run.wait_for("up"));
  ASSERT_TRUE(run.wait_for("too"));
  run.signal(SIGUSR2);
  const Finished end = run.finish();
  EXPECT_EQ(end.exit_code, 0);
  EXPECT_THAT(end.out, HasSubstr("[rank 1] asked"));
}

TEST(Signal, FailureWhileStoppingIsReported) {
  PantherRun run({"train", "--nproc", "2", "*:trap", "0:out=up", "1:out=too", "*:until_term", "1:err=disk full", "1:exit=74", "0:exit=75"});
  ASSERT_TRUE(run.wait_for("up"));
  ASSERT_TRUE(run.wait_for("too"));
  run.signal(SIGTERM);
  const Finished end = run.finish();
  EXPECT_EQ(end.exit_code, 74);
  EXPECT_THAT(end.err, HasSubstr("rank 1 failed with exit code 74 (Io)"));
}

}  // namespace
}  // namespace panther::launcher::testing
