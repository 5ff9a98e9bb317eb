// The program as a whole: its texts, how fast it starts, what it is linked with.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cstdio>

#include "core/text.h"
#include "tests/launcher/panther_run.h"

namespace panther::launcher::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

TEST(Program, SaysWhatItIs) {
  const Finished bare = run_panther({});
  EXPECT_EQ(bare.exit_code, 0);
  for (const char* command : {"train", "generate", "evaluate", "inspect", "doctor", "help", "version"}) EXPECT_THAT(bare.out, HasSubstr(command));
  EXPECT_LT(std::count(bare.out.begin(), bare.out.end(), '\n'), 36);  // a terminal's height, with a prompt
  EXPECT_EQ(run_panther({"--help"}).out, bare.out);
  EXPECT_THAT(run_panther({"version"}).out, ::testing::MatchesRegex("panther [0-9]+\\.[0-9]+\\.[0-9]+\n"));
}

TEST(Program, UnknownCommandIsUsage) {
  const Finished end = run_panther({"genrate", "x"});
  EXPECT_EQ(end.exit_code, 64);
  EXPECT_THAT(end.err, HasSubstr("did you mean 'generate'?"));
  EXPECT_EQ(end.out, "");
}

TEST(Program, LaunchSaysWhatItsRanksAreTold) {
  const Finished help = run_panther({"launch", "--help"});
  EXPECT_EQ(help.exit_code, 0);
  for (const char* word : {"--nproc N", "WORLD_SIZE", "PANTHER_STORE", "PATH"}) EXPECT_THAT(help.out, HasSubstr(word));
  EXPECT_EQ(run_panther({"help", "launch"}).out, help.out);
}

TEST(Program, OtherCommandsBecomeTheWorker) {
  EXPECT_EQ(run_panther({"generate", "ckpt", "--prompt", "a b", "*:words", "*:exit=7"}).exit_code, 7);
  EXPECT_EQ(run_panther({"doctor", "*:words"}).out, "doctor\n*:words\n");
  EXPECT_EQ(run_panther({"train", "a.toml", "--nproc", "2", "--dry-run", "*:words"}).out, "train\na.toml\n--nproc\n2\n--dry-run\n*:words\n");
  EXPECT_EQ(run_panther({"help", "train"}).exit_code, 0);
}

TEST(Program, LinksNoVendorOfTheRuntime) {
  std::FILE* pipe = ::popen(concat("ldd '", PANTHER_TEST_PROGRAM, "'").c_str(), "r");
  ASSERT_NE(pipe, nullptr);
  std::string text;
  char buffer[4096];
  while (const std::size_t count = std::fread(buffer, 1, sizeof buffer, pipe)) text.append(buffer, count);
  ASSERT_EQ(::pclose(pipe), 0);
  EXPECT_THAT(text, HasSubstr("libpanther_core"));
  for (const char* vendor : {"torch", "nccl", "libmpi", "mpich", "cuda", "libpanther_kernels", "libpanther_runtime", "libpanther_comm"})
    EXPECT_THAT(text, Not(HasSubstr(vendor)));
}

TEST(Program, PrintsHowFastItStarts) {
  std::vector<double> milliseconds;
  for (int i = 0; i < 15; ++i) {
    const auto begin = std::chrono::steady_clock::now();
    EXPECT_EQ(run_panther({"version"}).exit_code, 0);
    milliseconds.push_back(std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - begin).count());
  }
  std::sort(milliseconds.begin(), milliseconds.end());
  std::printf("start to end of `panther version`: median %.1f ms of 15 (goal: under 50 ms)\n", milliseconds[7]);
  RecordProperty("median_milliseconds", std::to_string(milliseconds[7]));
}

}  // namespace
}  // namespace panther::launcher::testing
