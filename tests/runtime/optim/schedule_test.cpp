#include <cmath>

#include "runtime/optim/schedule.h"

namespace panther::runtime {
namespace {

ScheduleConfig config(const std::string& kind, std::int64_t warmup, double final_fraction = 0.1, double decay_fraction = 0.2) {
  ScheduleConfig result;
  result.kind = kind;
  result.warmup_steps = warmup;
  result.final_fraction = final_fraction;
  result.decay_fraction = decay_fraction;
  return result;
}

TEST(Schedule, WarmsUpLinearlyWhateverTheKind) {
  for (const char* kind : {"constant", "cosine", "wsd"}) {
    for (std::int64_t step = 0; step < 10; ++step) {
      EXPECT_DOUBLE_EQ(schedule_factor(config(kind, 10), step, 100), static_cast<double>(step + 1) / 10) << kind;
    }
    EXPECT_DOUBLE_EQ(schedule_factor(config(kind, 10), 10, 100), 1.0) << kind;
    EXPECT_DOUBLE_EQ(schedule_factor(config(kind, 0), 0, 100), 1.0) << kind;
  }
}

TEST(Schedule, ConstantStays) {
  for (const std::int64_t step : {10, 50, 99, 100, 100000}) EXPECT_EQ(schedule_factor(config("constant", 10), step, 100), 1.0);
}

TEST(Schedule, CosineHasItsClosedForm) {
  const ScheduleConfig cosine = config("cosine", 11, 0.2);
  // 11 steps of warm-up and then 89 - 0 intervals from step 11 to step 100 of 101.
  EXPECT_DOUBLE_EQ(schedule_factor(cosine, 11, 101), 1.0);
  EXPECT_DOUBLE_EQ(schedule_factor(cosine, 100, 101), 0.2);
  for (std::int64_t step = 11; step <= 100; ++step) {
    EXPECT_NEAR(schedule_factor(cosine, step, 101), 0.6 + 0.4 * std::cos(M_PI * static_cast<double>(step - 11) / 89), 1e-15);
  }
  EXPECT_DOUBLE_EQ(schedule_factor(cosine, 101, 101), 0.2) << "held after the end";
  EXPECT_DOUBLE_EQ(schedule_factor(cosine, 1 << 20, 101), 0.2);
  // The middle of an even number of intervals is the mean of both ends.
  EXPECT_NEAR(schedule_factor(config("cosine", 0, 0.0), 50, 101), 0.5, 1e-15);
}

TEST(Schedule, WsdStaysThenDecaysByOneMinusRoot) {
  const ScheduleConfig wsd = config("wsd", 10, 0.1, 0.2);
  for (std::int64_t step = 10; step < 80; ++step) EXPECT_EQ(schedule_factor(wsd, step, 100), 1.0);
  for (std::int64_t k = 1; k <= 20; ++k) {
    EXPECT_NEAR(schedule_factor(wsd, 79 + k, 100), 0.1 + 0.9 * (1 - std::sqrt(static_cast<double>(k) / 20)), 1e-15);
  }
  EXPECT_NEAR(schedule_factor(wsd, 99, 100), 0.1, 1e-15);
  EXPECT_NEAR(schedule_factor(wsd, 500, 100), 0.1, 1e-15);
  EXPECT_EQ(schedule_factor(config("wsd", 0, 0.1, 0.0), 99, 100), 1.0) << "no decay asked for";
}

TEST(Schedule, ShortRunsStayInRange) {
  for (const char* kind : {"constant", "cosine", "wsd"}) {
    for (const std::int64_t total : {1, 2, 3, 5}) {
      for (const std::int64_t warmup : {0, 1, 2, 5, 100}) {
        for (std::int64_t step = 0; step < total + 3; ++step) {
          const double factor = schedule_factor(config(kind, warmup), step, total);
          EXPECT_GT(factor, 0) << kind << " step " << step << " of " << total << ", warm-up " << warmup;
          EXPECT_LE(factor, 1);
        }
      }
    }
  }
}

}  // namespace
}  // namespace panther::runtime
