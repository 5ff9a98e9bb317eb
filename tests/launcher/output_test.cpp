// What the ranks get to see, and what becomes of what they print.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <pty.h>
#include <sys/wait.h>
#include <unistd.h>

#include <set>

#include "core/atomic_file.h"
#include "core/text.h"
#include "tests/launcher/panther_run.h"

namespace panther::launcher::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

std::string value_in(const std::string& text, const std::string& name) {
  const auto at = text.find(name + "=");
  if (at == std::string::npos) return "(not printed)";
  const auto begin = at + name.size() + 1;
  return text.substr(begin, text.find('\n', begin) - begin);
}

TEST(Output, RankZeroIsPlainOthersArePrefixed) {
  const Finished end = run_panther({"train", "--nproc", "2", "0:out=zero", "1:out=one", "0:err=zero too", "1:err=one too"});
  EXPECT_EQ(end.exit_code, 0);
  EXPECT_THAT(end.out, ::testing::AnyOf("zero\n[rank 1] one\n", "[rank 1] one\nzero\n"));
  EXPECT_THAT(end.err, ::testing::AnyOf("zero too\n[rank 1] one too\n", "[rank 1] one too\nzero too\n"));
}

TEST(Output, NothingIsLostOfALot) {
  const Finished end = run_panther({"train", "--nproc", "2", "*:flood=20000"});
  EXPECT_EQ(end.exit_code, 0);
  std::size_t plain = 0, prefixed = 0;
  for (std::size_t at = 0; at < end.out.size(); at = end.out.find('\n', at) + 1) {
    plain += end.out.compare(at, 5, "line ") == 0;
    prefixed += end.out.compare(at, 14, "[rank 1] line ") == 0;
  }
  // A prefixed line may fall inside a line of rank 0, which passes byte by byte.
  EXPECT_GE(plain, 19000u);
  EXPECT_GE(prefixed, 19000u);
  const auto count = [&](const std::string& needle) {
    std::size_t found = 0;
    for (auto at = end.out.find(needle); at != std::string::npos; at = end.out.find(needle, at + 1)) ++found;
    return found;
  };
  EXPECT_EQ(count("\n"), 40000u);
  EXPECT_EQ(count("[rank 1] line "), 20000u);
}

TEST(Output, EverythingIsStoredInTheRunFolder) {
  const ScratchFolder scratch;
  const std::string run = (scratch.path() / "run").string();
  for (int attempt = 0; attempt < 2; ++attempt) {
    const Finished end = run_panther({"train", "--nproc", "2", "*:out=early", "1:err=warning", "0:folder=" + run, "*:sleep=150", "*:raw=late", "1:sleep=500", "1:exit=3"});
    EXPECT_EQ(end.exit_code, 3);
    const auto folder = scratch.path() / "run" / "logs" / concat("attempt_", attempt);
    EXPECT_THAT(end.err, HasSubstr("all output is in " + folder.string()));
    EXPECT_EQ(read_file(folder / "rank_0.out"), "early\nlate");
    EXPECT_EQ(read_file(folder / "rank_1.out"), "early\nlate");
    EXPECT_EQ(read_file(folder / "rank_0.err"), "");
    EXPECT_EQ(read_file(folder / "rank_1.err"), "warning\n");
  }
}

TEST(Output, RunFolderToldAtTheVeryEndIsStillUsed) {
  const ScratchFolder scratch;
  run_panther({"train", "--nproc", "1", "0:out=x", "0:folder=" + (scratch.path() / "run").string()});
  EXPECT_EQ(read_file(scratch.path() / "run" / "logs" / "attempt_0" / "rank_0.out"), "x\n");
}

TEST(Output, TemporaryFilesAreGoneAfterwards) {
  const ScratchFolder scratch;
  run_panther({"train", "--nproc", "2", "*:out=x", "1:exit=64"}, {{"TMPDIR", scratch.path().string()}});
  EXPECT_TRUE(std::filesystem::is_empty(scratch.path()));
  const Finished end = run_panther({"train", "--nproc", "2", "x"}, {{"TMPDIR", (scratch.path() / "none").string()}});
  EXPECT_EQ(end.exit_code, 74);
  EXPECT_THAT(end.err, HasSubstr("TMPDIR"));
}

TEST(Output, RanksLearnWhoTheyAre) {
  Words words{"train", "--nproc", "2"};
  for (const char* name : {"PANTHER_RANK", "PANTHER_WORLD_SIZE", "PANTHER_LOCAL_RANK", "PANTHER_LOCAL_WORLD_SIZE", "PANTHER_NODE_RANK", "PANTHER_STORE",
                           "PANTHER_JOB_ID", "PANTHER_RUN_ID", "PANTHER_RESTART_COUNT", "RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE",
                           "GROUP_RANK", "MASTER_ADDR", "MASTER_PORT", "OMP_NUM_THREADS", "PANTHER_CONSOLE_TTY"})
    for (const char* rank : {"0", "1"}) words.push_back(concat(rank, ":env=", name));
  const Finished end = run_panther(words);
  ASSERT_EQ(end.exit_code, 0) << end.err;
  std::map<std::string, std::set<std::string>> values;
  for (std::size_t at = 0; at < end.out.size(); at = end.out.find('\n', at) + 1) {
    std::string line = end.out.substr(at, end.out.find('\n', at) - at);
    const bool second = line.starts_with("[rank 1] ");
    if (second) line = line.substr(9);
    const auto equals = line.find('=');
    values[line.substr(0, equals)].insert(concat(second ? "1:" : "0:", line.substr(equals + 1)));
  }
  using Set = std::set<std::string>;
  for (const char* name : {"PANTHER_RANK", "PANTHER_LOCAL_RANK", "RANK", "LOCAL_RANK"}) EXPECT_EQ(values[name], (Set{"0:0", "1:1"})) << name;
  for (const char* name : {"PANTHER_WORLD_SIZE", "PANTHER_LOCAL_WORLD_SIZE", "WORLD_SIZE", "LOCAL_WORLD_SIZE"})
    EXPECT_EQ(values[name], (Set{"0:2", "1:2"})) << name;
  for (const char* name : {"PANTHER_NODE_RANK", "GROUP_RANK", "PANTHER_RESTART_COUNT"}) EXPECT_EQ(values[name], (Set{"0:0", "1:0"})) << name;
  EXPECT_EQ(values["MASTER_ADDR"], (Set{"0:127.0.0.1", "1:127.0.0.1"}));
  EXPECT_EQ(values["PANTHER_CONSOLE_TTY"], (Set{"0:(none)", "1:(none)"}));
  for (const char* name : {"PANTHER_STORE", "PANTHER_JOB_ID", "PANTHER_RUN_ID", "MASTER_PORT", "OMP_NUM_THREADS"}) {
    ASSERT_EQ(values[name].size(), 2u) << name;
    EXPECT_EQ(values[name].begin()->substr(2), values[name].rbegin()->substr(2)) << name;
    EXPECT_GT(values[name].begin()->size(), 2u) << name;
  }
  EXPECT_THAT(values["PANTHER_STORE"].begin()->substr(2), ::testing::StartsWith("tcp://127.0.0.1:"));
  EXPECT_THAT(values["PANTHER_STORE"].begin()->substr(2), Not(::testing::EndsWith(values["MASTER_PORT"].begin()->substr(1))));
}

TEST(Output, WordsReachTheWorkerWithoutTheRanks) {
  const Finished end = run_panther({"train", "a.toml", "--nproc", "1", "--set", "optim.lr=1e-3", "--resume=auto", "*:words"});
  EXPECT_EQ(end.out, "train\na.toml\n--set\noptim.lr=1e-3\n--resume=auto\n*:words\n");
}

TEST(Output, ThreadsThatAreSetStay) {
  const Finished end = run_panther({"train", "--nproc", "1", "0:env=OMP_NUM_THREADS"}, {{"OMP_NUM_THREADS", "13"}});
  EXPECT_EQ(value_in(end.out, "OMP_NUM_THREADS"), "13");
}

TEST(Output, AConsoleThatGoesAwayDoesNotStopTheJob) {
  const ScratchFolder scratch;
  const std::string run = (scratch.path() / "run").string();
  const std::string command = concat("PANTHER_WORKER='", PANTHER_TEST_FAKE_WORKER, "' '", PANTHER_TEST_PROGRAM,
                                     "' train --nproc 1 0:folder='", run, "' 0:sleep=100 0:flood=5000 0:out=end 2>/dev/null | head -n 1 >/dev/null");
  ASSERT_EQ(std::system(command.c_str()), 0);
  EXPECT_THAT(read_file(scratch.path() / "run" / "logs" / "attempt_0" / "rank_0.out"), ::testing::EndsWith("end\n"));
}

TEST(Output, RankZeroIsToldOfTheTerminal) {
  int terminal = -1;
  winsize size{.ws_row = 30, .ws_col = 123, .ws_xpixel = 0, .ws_ypixel = 0};
  const pid_t child = ::forkpty(&terminal, nullptr, nullptr, &size);
  ASSERT_GE(child, 0);
  if (child == 0) {
    ::setenv("PANTHER_WORKER", PANTHER_TEST_FAKE_WORKER, 1);
    ::execl(PANTHER_TEST_PROGRAM, "panther", "train", "--nproc", "2", "*:env=PANTHER_CONSOLE_TTY", "0:env=COLUMNS", nullptr);
    ::_exit(127);
  }
  std::string text;
  char buffer[4096];
  for (ssize_t count; (count = ::read(terminal, buffer, sizeof buffer)) > 0;) text.append(buffer, static_cast<std::size_t>(count));
  int status = 0;
  ::waitpid(child, &status, 0);
  ::close(terminal);
  EXPECT_EQ(status, 0);
  EXPECT_THAT(text, HasSubstr("PANTHER_CONSOLE_TTY=1\r\n"));
  EXPECT_THAT(text, HasSubstr("COLUMNS=123\r\n"));
  EXPECT_THAT(text, HasSubstr("[rank 1] PANTHER_CONSOLE_TTY=(none)\r\n"));
}

}  // namespace
}  // namespace panther::launcher::testing
