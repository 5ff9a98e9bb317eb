#include "launcher/agent/verdict.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>

namespace panther::launcher {
namespace {

using std::chrono::milliseconds;
using ::testing::HasSubstr;

RankExit exited(int rank, int code, int at_ms, bool asked = false) { return {rank, code, 0, TimePoint(milliseconds(at_ms)), asked}; }
RankExit killed(int rank, int signal, int at_ms, bool asked = false) { return {rank, 0, signal, TimePoint(milliseconds(at_ms)), asked}; }

TEST(Verdict, DoneAndPreempted) {
  EXPECT_EQ(judge({exited(0, 0, 5), exited(1, 0, 6)}, 0).exit_code, 0);
  EXPECT_EQ(judge({exited(0, 75, 5, true), exited(1, 75, 6, true)}, SIGTERM).exit_code, 75);
  EXPECT_EQ(judge({exited(0, 0, 5), exited(1, 75, 6)}, 0).exit_code, 75);
  EXPECT_FALSE(judge({exited(0, 75, 5)}, 0).rank);
}

TEST(Verdict, TheFirstFailureCounts) {
  const Verdict verdict = judge({exited(1, 70, 100), exited(0, 71, 40), killed(2, SIGTERM, 200, true)}, 0);
  EXPECT_EQ(verdict.rank, 0);
  EXPECT_EQ(verdict.exit_code, 71);
  EXPECT_THAT(verdict.sentence, HasSubstr("exit code 71 (Internal)"));
}

TEST(Verdict, WhoBlamesAPeerIsNotTheCause) {
  const Verdict killed_peer = judge({exited(1, 66, 100), exited(2, 67, 101), killed(0, SIGKILL, 103)}, 0);
  EXPECT_EQ(killed_peer.rank, 0);
  EXPECT_EQ(killed_peer.exit_code, 137);
  EXPECT_THAT(killed_peer.sentence, HasSubstr("out of memory"));
  // A slow unwinding: the cause ends after it was asked to, with its own code.
  EXPECT_EQ(judge({exited(1, 66, 100), exited(0, 72, 1500, true)}, 0).rank, 0);
  // Too late to be the same incident.
  EXPECT_EQ(judge({exited(1, 66, 100), exited(0, 72, 2200, true)}, 0).rank, 1);
}

TEST(Verdict, OnlyPeersLostIsStillAFailure) {
  const Verdict verdict = judge({exited(1, 67, 100), killed(0, SIGKILL, 6000, true)}, 0);
  EXPECT_EQ(verdict.rank, 1);
  EXPECT_EQ(verdict.exit_code, 67);
}

TEST(Verdict, EndsThatWereAskedForAreNobodysFault) {
  for (const int signal : {SIGTERM, SIGKILL}) {
    const Verdict verdict = judge({killed(0, signal, 10, true), killed(1, signal, 11, true)}, SIGINT);
    EXPECT_EQ(verdict.exit_code, 130);
    EXPECT_FALSE(verdict.rank);
  }
  EXPECT_EQ(judge({exited(0, 143, 10, true), exited(1, 75, 11, true)}, SIGTERM).exit_code, 143);
  // Not asked: somebody else's signal.
  EXPECT_EQ(judge({killed(0, SIGTERM, 10)}, 0).exit_code, 143);
  EXPECT_EQ(judge({killed(0, SIGTERM, 10)}, 0).rank, 0);
  // A crash while stopping stays a crash.
  EXPECT_EQ(judge({killed(0, SIGSEGV, 10, true), exited(1, 75, 11, true)}, SIGTERM).exit_code, 139);
}

TEST(Verdict, NamesExitCodesAndSignals) {
  EXPECT_EQ(describe(exited(0, 64, 0)), "exit code 64 (InvalidArgument)");
  EXPECT_EQ(describe(exited(0, 3, 0)), "exit code 3");
  EXPECT_EQ(describe(killed(0, SIGSEGV, 0)), "signal 11 (Segmentation fault)");
}

}  // namespace
}  // namespace panther::launcher
