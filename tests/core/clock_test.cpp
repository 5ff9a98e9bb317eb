#include "core/clock.h"

#include <gtest/gtest.h>

#include <thread>
#include <vector>

namespace panther {
namespace {

using std::chrono::milliseconds;

TEST(Clock, ManualMovesOnlyWhenTold) {
  ManualClock clock;
  const TimePoint start = clock.now();
  EXPECT_EQ(clock.now(), start);
  clock.advance(milliseconds(1500));
  EXPECT_DOUBLE_EQ(seconds(clock.now() - start), 1.5);
  clock.sleep_until(start + milliseconds(1000));
  EXPECT_EQ(clock.now(), start + milliseconds(1500)) << "a time that has passed does not turn the clock back";
  clock.sleep_until(start + milliseconds(2000));
  EXPECT_EQ(clock.now(), start + milliseconds(2000));
}

TEST(Clock, ManualTakesManyThreads) {
  ManualClock clock;
  const TimePoint start = clock.now();
  std::vector<std::jthread> threads;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&clock] {
      for (int i = 0; i < 1000; ++i) clock.advance(milliseconds(1));
    });
  threads.clear();
  EXPECT_EQ(clock.now() - start, milliseconds(4000));
}

TEST(Clock, RealSleepsAtLeastSoLong) {
  Clock& clock = real_clock();
  const TimePoint wake = clock.now() + milliseconds(5);
  clock.sleep_until(wake);
  EXPECT_GE(clock.now(), wake);
}

}  // namespace
}  // namespace panther
