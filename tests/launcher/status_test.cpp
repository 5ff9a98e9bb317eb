// What `panther status` makes of a run's file, and how it looks.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/error.h"
#include "core/table.h"
#include "launcher/status/run_view.h"

namespace panther::launcher {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

constexpr const char* kFile = R"({"version": 1, "state": "running", "host": "h", "pid": 42, "started": 1000, "updated": 1990.5, "first_step": 0, "step": 120, "steps": 400, "ranks": 2,
 "backend": "gloo", "exchange": "auto", "loss": 2.5, "learning_rate": 0.003, "gradient_norm": null, "tokens_per_second": 12345.6, "unit": "tokens", "eta_seconds": 65,
 "step_seconds": {"data": 0.001, "forward": 0.01, "backward": 0.02, "exposed": 0.005, "optimizer": 0.004}, "bytes_sent": 1048576, "bytes_inside": 0, "bytes_dense_f32": 4194304,
 "memory_bytes": 104857600, "skipped": 3, "checkpoint": {"step": 100, "time": 1940}, "validation": [[0, 5.5], [50, 3.5], [100, 2.75]],
 "buckets": [{"codec": "powersgd-4", "elements": 65536, "bytes_predicted": 8192, "bytes_counted": 8192, "ready_seconds": 0.01, "encode_seconds": 0.0005, "collective_seconds": 0.002,
   "decode_seconds": 0.00025, "exposed_seconds": 0.001, "residual_ratio": 1.5, "relative_error": 0.4, "effective_rank": 2.25},
  {"codec": "half", "elements": 10, "bytes_predicted": 64, "bytes_counted": 64, "ready_seconds": 0.01, "encode_seconds": 0, "collective_seconds": 0.0001, "decode_seconds": 0,
   "exposed_seconds": 0, "residual_ratio": -1, "relative_error": -1, "effective_rank": -1}],
 "plan": {"step": 12, "why": ["bucket 0: powersgd-4, link 25 Mb/s", "bucket 1: half"]}})";

ErrorCode code_of(const std::string& text) {
  try {
    parse_status(text, "x/status.json");
  } catch (const Error& error) {
    EXPECT_THAT(error.message(), HasSubstr("x/status.json"));
    return error.code();
  }
  return ErrorCode::Internal;
}

TEST(Status, ReadsWhatARunWrites) {
  const RunView run = parse_status(kFile, "x");
  EXPECT_EQ(run.step, 120);
  EXPECT_EQ(run.loss, 2.5);
  EXPECT_EQ(run.gradient_norm, 0) << "null where it was not finite";
  ASSERT_EQ(run.step_seconds.size(), 5u);
  EXPECT_EQ(run.step_seconds[3], std::pair(std::string("exposed"), 0.005));
  ASSERT_EQ(run.buckets.size(), 2u);
  EXPECT_EQ(run.buckets[0].effective_rank, 2.25);
  EXPECT_EQ(run.validation.back(), (std::pair<std::int64_t, double>(100, 2.75)));
  EXPECT_EQ(run.plan.size(), 2u);
}

TEST(Status, RefusesWhatIsNoStatus) {
  EXPECT_EQ(code_of("{"), ErrorCode::Corrupt);
  EXPECT_EQ(code_of("{\"version\": 1}"), ErrorCode::Corrupt);
  EXPECT_EQ(code_of("{\"version\": 2}"), ErrorCode::Unsupported);
}

TEST(Status, TellsLivingRunsFromOthers) {
  RunView run = parse_status(kFile, "x");
  EXPECT_EQ(state_of(run, Life::alive, 1991), "running");
  EXPECT_EQ(state_of(run, Life::gone, 1991), "died");
  EXPECT_EQ(state_of(run, Life::alive, 2500), "silent");
  EXPECT_EQ(state_of(run, Life::elsewhere, 1991), "running");
  run.state = "finished";
  EXPECT_EQ(state_of(run, Life::gone, 9e9), "finished");
}

TEST(Status, IsOneScreenThatSaysEverything) {
  const RunView run = parse_status(kFile, "x");
  const std::string text = status_text(run, "runs/a", Life::alive, "", {.columns = 100, .now = 2000});
  for (const char* part : {"runs/a   running, 2 ranks over gloo", "120/400   30 %", "ETA 1 min 05 s", "2.5000   validation 2.7500 at step 100", "12.3 k tokens/s", "40.0 ms/step", "exchange exposed 5.00",
                           "100 MiB", "skipped 3 steps", "auto   1.00 MiB by rank 0, f32 would be 4 times that", "step 100, 1 min 00 s ago", "powersgd-4", "8.00 KiB", "1.50", "0.400", "2.2",
                           "plan since step 12", "bucket 0: powersgd-4, link 25 Mb/s"}) {
    EXPECT_THAT(text, HasSubstr(part));
  }
  EXPECT_THAT(text, Not(HasSubstr("\033"))) << "no colour without a terminal";
  EXPECT_THAT(status_text(run, "runs/a", Life::alive, "", {.columns = 100, .colour = true, .now = 2000}), HasSubstr("\033[36mrunning\033[0m"));
  EXPECT_THAT(status_text(run, "runs/a", Life::gone, "NonFinite, rank 1: loss is nan", {.columns = 100, .now = 2000}), HasSubstr("died (process 42 on h is gone)"));
  EXPECT_THAT(status_text(run, "runs/a", Life::gone, "NonFinite, rank 1: loss is nan", {.columns = 100, .now = 2000}), HasSubstr("why         NonFinite, rank 1"));
}

TEST(Status, FitsTheTerminal) {
  const RunView run = parse_status(kFile, "x");
  for (const std::size_t columns : {40u, 60u, 80u, 120u}) {
    for (const bool utf8 : {false, true}) {
      const std::string text = status_text(run, "runs/a", Life::alive, "", {.columns = columns, .utf8 = utf8, .now = 2000});
      const std::string facts = text.substr(0, text.find("\nbuckets"));
      for (std::size_t begin = 0; begin < facts.size();) {
        const std::size_t end = std::min(facts.find('\n', begin), facts.size());
        EXPECT_LE(display_width(facts.substr(begin, end - begin)), columns) << facts.substr(begin, end - begin);
        begin = end + 1;
      }
    }
  }
}

TEST(Status, SparklinesRunFromLeastToMost) {
  EXPECT_EQ(sparkline({0, 1, 2, 3, 4, 5, 6, 7}, 8, false), "01234567");
  EXPECT_EQ(sparkline({7, 0}, 8, true), "█▁");
  EXPECT_EQ(sparkline({1, 1, 1}, 8, false), "000");
  EXPECT_EQ(sparkline({0, 9, 9, 9, 0, 7}, 2, false), "70") << "the last of each half";
  EXPECT_EQ(sparkline({}, 8, false), "");
}

}  // namespace
}  // namespace panther::launcher
