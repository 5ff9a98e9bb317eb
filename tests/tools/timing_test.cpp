#include <gtest/gtest.h>
#include <omp.h>

#include <string>

#include "core/error.h"
#include "tools/measure/machine_limits.h"
#include "tools/measure/timing.h"

namespace panther::measure {
namespace {

TEST(Summarize, TakesTheMedianAndTheQuartiles) {
  const Timing odd = summarize({5, 1, 3, 2, 4});
  EXPECT_DOUBLE_EQ(odd.median, 3);
  EXPECT_DOUBLE_EQ(odd.fastest, 1);
  EXPECT_DOUBLE_EQ(odd.spread, 2.0 / 3);  // quartiles 2 and 4
  EXPECT_EQ(odd.runs, 5);
  EXPECT_DOUBLE_EQ(summarize({1, 2, 3, 10}).median, 2.5);
  EXPECT_DOUBLE_EQ(summarize({7}).spread, 0);
  EXPECT_THROW(summarize({}), Error);
}

TEST(TimeInTurns, BodiesAlternateAndTheWarmUpIsNotCounted) {
  std::string order;
  const auto timings =
      time_in_turns({[&] { order += 'a'; }, [&] { order += 'b'; }}, {.warm_ups = 1, .least_runs = 2, .most_runs = 3, .budget_seconds = 60});
  EXPECT_EQ(order, "abababab");
  EXPECT_EQ(timings.at(0).runs, 3);
  EXPECT_EQ(timings.at(1).runs, 3);
}

TEST(TimeRuns, StopsAtTheBudgetButNotBeforeTheLeastRuns) {
  int calls = 0;
  const auto wait = [&] {
    ++calls;
    for (const double begin = now_seconds(); now_seconds() - begin < 0.01;) {
    }
  };
  const Timing timing = time_runs(wait, {.warm_ups = 0, .least_runs = 4, .most_runs = 1000, .budget_seconds = 0.001});
  EXPECT_EQ(calls, 4);
  EXPECT_EQ(timing.runs, 4);
  EXPECT_GE(timing.fastest, 0.01);
}

TEST(JsonLine, HoldsRatesSharesAndFurtherFacts) {
  const int before = threads();
  set_threads(3);
  Figure figure{.name = "a \"b\"",
                .shape = "2x3",
                .dtype = "f64",
                .timing = {0.5, 0.25, 0.125, 7},
                .flops = 4e9,
                .bytes = 2e9,
                .gemm_gflops = 16,
                .stream_gbs = 8,
                .error = 0.5,
                .numbers = {{"ratio", 1.5}},
                .words = {{"peer", "x"}}};
  EXPECT_EQ(
      json_line(figure),
      "{\"name\":\"a \\\"b\\\"\",\"device\":\"cpu\",\"shape\":\"2x3\",\"dtype\":\"f64\",\"threads\":3,\"median_s\":0.5,\"fastest_s\":0.25,"
      "\"spread\":0.125,\"runs\":7,\"gflops\":8,\"gemm_share\":0.5,\"gb_per_s\":4,\"stream_share\":0.5,\"error\":0.5,\"ratio\":1.5,"
      "\"peer\":\"x\"}");
  figure = {.name = "n", .shape = "1", .dtype = "f32", .timing = {1, 1, 0, 1}};
  EXPECT_EQ(json_line(figure).find("gflops"), std::string::npos);
  EXPECT_EQ(json_line(figure).find("error"), std::string::npos);
  set_threads(before);
}

TEST(MeasureLimits, FindsEveryLimitOfThisMachine) {
  const MachineLimits limits = measure_limits(cpu_kernels(), 128, 1 << 20);
  for (const double limit : {limits.gemm_f64_gflops, limits.gemm_f32_gflops, limits.triad_gbs, limits.read_gbs}) {
    EXPECT_GT(limit, 0.01);
    EXPECT_LT(limit, 1e7);
  }
  EXPECT_FALSE(machine_name(DeviceKind::cpu).empty());
}

}  // namespace
}  // namespace panther::measure
