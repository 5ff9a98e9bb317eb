// A rank that fails: who is blamed, who is stopped, and what is left.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>
#include <thread>

#include "core/text.h"
#include "tests/launcher/panther_run.h"

namespace panther::launcher::testing {
namespace {

using std::chrono::milliseconds;
using ::testing::HasSubstr;
using ::testing::Not;

TEST(Failure, AllDoneIsZero) {
  const Finished end = run_panther({"train", "--nproc", "3", "*:sleep=10"});
  EXPECT_EQ(end.exit_code, 0);
  EXPECT_EQ(end.out, "");
  EXPECT_EQ(end.err, "");
}

TEST(Failure, FirstFailingRanksCodeAndLastLines) {
  const Finished end = run_panther({"train", "--nproc", "3", "1:err=the reason", "1:sleep=600", "0:sleep=300", "0:out=other news", "1:exit=70", "*:sleep=20000"});
  EXPECT_EQ(end.exit_code, 70);
  EXPECT_THAT(end.err, HasSubstr("panther: rank 1 failed with exit code 70 (Corrupt); the other ranks were stopped; its last lines:\npanther:   the reason\n"));
  EXPECT_LT(end.took, milliseconds(4000));
}

TEST(Failure, LastLinesThatStandRightAboveAreNotRepeated) {
  const Finished end = run_panther({"train", "--nproc", "2", "*:err=bad key", "*:exit=64"});
  EXPECT_EQ(end.exit_code, 64);
  EXPECT_THAT(end.err, HasSubstr("exit code 64 (InvalidArgument)"));
  EXPECT_THAT(end.err, HasSubstr("its last lines are above"));
  EXPECT_EQ(end.err.find("bad key"), end.err.rfind("bad key")) << end.err;
}

TEST(Failure, KilledRankIsToldFromThoseThatLostIt) {
  const Finished end = run_panther({"train", "--nproc", "3", "0:trap", "0:sleep=60", "0:kill=9", "1:sleep=60", "1:exit=66", "2:sleep=60", "2:exit=67"});
  EXPECT_EQ(end.exit_code, 137);
  EXPECT_THAT(end.err, HasSubstr("rank 0 failed with signal 9 (Killed)"));
}

TEST(Failure, WhoUnwindsSlowlyStillGetsToSayWhy) {
  const Finished end = run_panther({"train", "--nproc", "2", "0:trap", "1:sleep=50", "1:exit=66", "0:sleep=150", "0:err=loss is nan", "0:exit=72"});
  EXPECT_EQ(end.exit_code, 72);
  EXPECT_THAT(end.err, HasSubstr("rank 0 failed with exit code 72 (NonFinite)"));
}

TEST(Failure, CrashIsNamed) {
  const Finished end = run_panther({"train", "--nproc", "2", "1:kill=11", "0:sleep=20000"});
  EXPECT_EQ(end.exit_code, 139);
  EXPECT_THAT(end.err, HasSubstr("signal 11 (Segmentation fault)"));
}

TEST(Failure, WhoIgnoresTheRequestIsKilledAfterTheGrace) {
  const Finished end = run_panther({"train", "--nproc", "2", "0:deaf", "1:sleep=100", "1:exit=71", "0:sleep=60000"});
  EXPECT_EQ(end.exit_code, 71);
  EXPECT_GE(end.took, milliseconds(5000));
  EXPECT_LT(end.took, milliseconds(9000));
}

TEST(Failure, StrayProcessesOfARankAreGoneWithIt) {
  const Finished end = run_panther({"train", "--nproc", "1", "0:stray"});
  EXPECT_EQ(end.exit_code, 0);
  ASSERT_THAT(end.out, HasSubstr("stray "));
  const pid_t stray = std::stoi(end.out.substr(6));
  for (int i = 0; i < 200 && is_alive(stray); ++i) std::this_thread::sleep_for(milliseconds(5));
  EXPECT_FALSE(is_alive(stray));
}

TEST(Failure, WorkersDieWithTheLauncher) {
  PantherRun run({"train", "--nproc", "2", "*:deaf", "1:stray", "0:out=up", "*:sleep=60000"});
  ASSERT_TRUE(run.wait_for("up"));
  ASSERT_TRUE(run.wait_for("stray"));
  std::vector<pid_t> workers;
  for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
    const std::string name = entry.path().filename();
    if (!std::isdigit(static_cast<unsigned char>(name[0]))) continue;
    std::FILE* stat = std::fopen((entry.path() / "stat").c_str(), "r");
    int pid = 0, parent = 0;
    char state = 0;
    if (stat != nullptr && std::fscanf(stat, "%d %*s %c %d", &pid, &state, &parent) == 3 && parent == run.pid()) workers.push_back(pid);
    if (stat != nullptr) std::fclose(stat);
  }
  ASSERT_EQ(workers.size(), 2u);
  run.signal(SIGKILL);
  for (int i = 0; i < 400 && (is_alive(workers[0]) || is_alive(workers[1])); ++i) std::this_thread::sleep_for(milliseconds(5));
  for (const pid_t worker : workers) EXPECT_FALSE(is_alive(worker));
  // The stray that rank 1 had started lives on: only its parent died. Its pipe would keep finish() waiting.
  for (const pid_t worker : workers) ::kill(-worker, SIGKILL);
  EXPECT_EQ(run.finish().exit_code, 137);
}

TEST(Failure, WorkerThatCannotBeRunIsUnsupported) {
  ScratchFolder scratch;
  const Finished absent = run_panther({"train", "--nproc", "2", "x"}, {{"PANTHER_WORKER", (scratch.path() / "none").string()}});
  EXPECT_EQ(absent.exit_code, 65);
  EXPECT_THAT(absent.err, HasSubstr("PANTHER_WORKER="));
  const Finished folder = run_panther({"train", "--nproc", "2", "x"}, {{"PANTHER_WORKER", scratch.path().string()}});
  EXPECT_EQ(folder.exit_code, 65);
  EXPECT_THAT(folder.err, HasSubstr("cannot run"));
}

TEST(Failure, RanksInsideRanksAreRefused) {
  const std::map<std::string, std::string> mpirun{{"OMPI_COMM_WORLD_RANK", "0"}, {"OMPI_COMM_WORLD_SIZE", "2"},
                                                  {"OMPI_COMM_WORLD_LOCAL_RANK", "0"}, {"OMPI_COMM_WORLD_LOCAL_SIZE", "2"}};
  const Finished end = run_panther({"train", "x", "--nproc", "2"}, mpirun);
  EXPECT_EQ(end.exit_code, 64);
  EXPECT_THAT(end.err, HasSubstr("rank 0 of 2 (openmpi)"));
  EXPECT_THAT(end.err, HasSubstr("Leave --nproc out"));
  // Without it each of mpirun's tasks becomes the worker.
  const Finished plain = run_panther({"train", "x", "*:words"}, mpirun);
  EXPECT_EQ(plain.exit_code, 0);
  EXPECT_EQ(plain.out, "train\nx\n*:words\n");
}

}  // namespace
}  // namespace panther::launcher::testing
