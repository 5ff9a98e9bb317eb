#include "core/clock.h"

#include <thread>

namespace panther {

Clock::~Clock() = default;

namespace {

class SteadyClock final : public Clock {
 public:
  TimePoint now() const override { return std::chrono::steady_clock::now(); }
  void sleep_until(TimePoint when) override { std::this_thread::sleep_until(when); }
};

}  // namespace

Clock& real_clock() {
  static SteadyClock clock;
  return clock;
}

TimePoint ManualClock::now() const {
  const std::lock_guard lock(mutex_);
  return now_;
}

void ManualClock::sleep_until(TimePoint when) {
  const std::lock_guard lock(mutex_);
  if (when > now_) now_ = when;
}

void ManualClock::advance(Duration by) {
  const std::lock_guard lock(mutex_);
  now_ += by;
}

}  // namespace panther
