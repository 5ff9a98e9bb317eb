// What `panther status` makes of a run's file, and how it looks.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "core/error.h"
#include "core/table.h"
#include "launcher/status/run_view.h"

namespace panther::launcher {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

constexpr const char* kFile =
    R"({"version": 1, "state": "running", "host": "h", "pid": 42, "started": 1000, "updated": 1990.5, "first_step": 0, "step": 120, "steps": 400, "ranks": 2,
 "backend": "gloo", "exchange": "auto", "loss": 2.5, "learning_rate": 0.003, "gradient_norm": null, "tokens_per_second": 12345.6, "unit": "tokens", "eta_seconds": 65,
 "step_seconds": {"data": 0.001, "forward": 0.01, "backward": 0.02, "exposed": 0.005, "optimizer": 0.004}, "bytes_sent": 1048576, "bytes_inside": 0, "bytes_dense_f32": 4194304,
 "memory_bytes": 104857600, "skipped": 3, "checkpoint": {"step": 100, "time": 1940}, "validation": [[0, 5.5], [50, null], [100, 2.75]],
 "buckets": [{"codec": "powersgd-4", "elements": 65536, "bytes_predicted": 8192, "bytes_counted": 8192, "ready_seconds": 0.01, "encode_seconds": 0.0005, "collective_seconds": 0.002,
   "decode_seconds": 0.00025, "exposed_seconds": 0.001, "residual_ratio": 1.5, "relative_error": 0.4, "effective_rank": 2.25},
  {"codec": "half", "elements": 10, "bytes_predicted": 64, "bytes_counted": 64, "ready_seconds": 0.01, "encode_seconds": 0, "collective_seconds": 0.0001, "decode_seconds": 0,
   "exposed_seconds": 0, "residual_ratio": -1, "relative_error": -1, "effective_rank": -1}],
 "plan": {"step": 12, "why": ["bucket 0: powersgd-4, link 25 Mb/s", "bucket 1: half"]}})";

RunView sample() {
  RunView run = parse_status(kFile, "x");
  run.losses = {{10, 5.0}, {60, 3.5}, {120, 2.5}};
  return run;
}

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
  EXPECT_TRUE(std::isnan(run.gradient_norm)) << "null where it was not finite";
  ASSERT_EQ(run.step_seconds.size(), 5u);
  EXPECT_EQ(run.step_seconds[3], std::pair(std::string("exposed"), 0.005));
  ASSERT_EQ(run.buckets.size(), 2u);
  EXPECT_EQ(run.buckets[0].effective_rank, 2.25);
  EXPECT_EQ(run.validation.back(), (std::pair<std::int64_t, double>(100, 2.75)));
  EXPECT_TRUE(std::isnan(run.validation[1].second));
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

TEST(Status, LooksLikeThis) {
  EXPECT_EQ(status_text(sample(), {.folder = "runs/a", .life = Life::alive, .why = "", .logs = ""}, {.columns = 100, .now = 2000}),
            R"(run         runs/a
state       running for 16 min 40 s, 2 ranks over gloo
step        120/400   30 %  ########.................  ETA 1 min 05 s
loss        2.5000  730  steps 10 to 120
validation  2.7500  7?0  steps 0 to 100
speed       12.3 k tokens/s   40.0 ms/step   lr 3.00e-03   grad not finite
step ms     data 1.00  forward 10.0  backward 20.0  exposed 5.00  optimizer 4.00
            ddffffffffffffffffffffbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbeeeeeeeeeeoooooooo
memory      100 MiB (rank 0)
skipped     3 steps that were not finite
exchange    auto   1.00 MiB a step from rank 0, as f32 4.00 MiB
checkpoint  step 100, 1 min 00 s ago

2 buckets, predicted 8.06 KiB, counted 8.06 KiB; times in ms
#  codec       elements  predicted   counted  encode  wire  decode  exposed  |e|/|g|  error  rank
-------------------------------------------------------------------------------------------------
0  powersgd-4    65.5 k   8.00 KiB  8.00 KiB    0.50  2.00    0.25     1.00     1.50  0.400   2.2
1  half              10       64 B      64 B    0.00  0.10    0.00     0.00        -      -     -

plan since step 12
  bucket 0: powersgd-4, link 25 Mb/s
  bucket 1: half
)");
}

TEST(Status, ColoursAreForTerminals) {
  const Beside beside{.folder = "runs/a", .life = Life::alive, .why = "", .logs = ""};
  EXPECT_THAT(status_text(sample(), beside, {.columns = 100, .now = 2000}), Not(HasSubstr("\033")));
  EXPECT_THAT(status_text(sample(), beside, {.columns = 100, .colour = true, .now = 2000}),
              HasSubstr("state       \033[36mrunning\033[0m for"));
}

TEST(Status, SaysWhatBecameOfARunThatDied) {
  const Beside beside{.folder = "runs/a", .life = Life::gone, .why = "NonFinite, rank 1: loss is nan", .logs = "runs/a/logs/attempt_0"};
  const std::string text = status_text(sample(), beside, {.columns = 100, .now = 2000});
  for (const char* part : {"state       died (process 42 on h is gone)", "last written 9 s ago",
                           "why         NonFinite, rank 1: loss is nan", "output      runs/a/logs/attempt_0"})
    EXPECT_THAT(text, HasSubstr(part));
  EXPECT_THAT(text, Not(HasSubstr("ETA")));
}

TEST(Status, SaysThatALossIsNotFinite) {
  RunView run = sample();
  run.loss = std::numeric_limits<double>::quiet_NaN();
  const Beside beside{.folder = "a", .life = Life::alive, .why = "", .logs = ""};
  EXPECT_THAT(status_text(run, beside, {.columns = 100, .now = 2000}), HasSubstr("loss        not finite"));
}

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = text.find('\n', begin);
    lines.push_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  return lines;
}

TEST(Status, FitsTheTerminal) {
  RunView run = sample();
  run.plan.push_back("bucket 2: " + std::string(300, 'x') + " and words, many of them, that go over several lines of a narrow terminal");
  const Beside beside{.folder = std::string(150, 'r'), .life = Life::gone, .why = std::string(200, 'w'), .logs = std::string(150, 'l')};
  for (const std::size_t columns : {24u, 40u, 60u, 80u, 120u}) {
    for (const bool utf8 : {false, true}) {
      const std::string text = status_text(run, beside, {.columns = columns, .utf8 = utf8, .now = 2000});
      for (const std::string& line : lines_of(text)) EXPECT_LE(display_width(line), columns) << line;
    }
  }
}

TEST(Status, ManyBucketsLeaveOneScreen) {
  RunView run = sample();
  for (int i = 0; i < 200; ++i) {
    run.buckets.push_back(run.buckets[1]);
    run.plan.push_back(concat("bucket ", i + 2, ": half"));
  }
  run.buckets[150].exposed_seconds = 7;
  const Beside beside{.folder = "runs/a", .life = Life::alive, .why = "", .logs = ""};
  for (const std::size_t rows : {24u, 40u, 60u}) {
    const std::string text = status_text(run, beside, {.columns = 100, .rows = rows, .now = 2000});
    EXPECT_LE(lines_of(text).size(), rows);
    EXPECT_THAT(text, HasSubstr("--buckets shows all 202"));
    EXPECT_THAT(text, HasSubstr("7000.0")) << "the one that was waited for longest";
  }
  EXPECT_LE(lines_of(status_text(run, beside, {.columns = 100, .now = 2000})).size(), 45u);
  EXPECT_GT(lines_of(status_text(run, beside, {.columns = 100, .rows = 24, .all_buckets = true, .now = 2000})).size(), 404u);
}

TEST(Status, SparklinesRunFromLeastToMost) {
  EXPECT_EQ(sparkline({0, 1, 2, 3, 4, 5, 6, 7}, 8, false), "01234567");
  EXPECT_EQ(sparkline({7, 0}, 8, true), "█▁");
  EXPECT_EQ(sparkline({1, 1, 1}, 8, false), "000");
  EXPECT_EQ(sparkline({0, 9, 9, 9, 0, 7}, 2, false), "70") << "the last of each half";
  EXPECT_EQ(sparkline({7, std::numeric_limits<double>::infinity(), 0}, 8, false), "7?0");
  EXPECT_EQ(sparkline({}, 8, false), "");
}

}  // namespace
}  // namespace panther::launcher
