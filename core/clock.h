#pragma once
// Time as a value that can be passed in: the real clock in programs, a manual one in tests.
#include <chrono>
#include <mutex>

#include "core/export.h"

namespace panther {

using Duration = std::chrono::nanoseconds;
using TimePoint = std::chrono::time_point<std::chrono::steady_clock, Duration>;

class PANTHER_CORE_API Clock {
 public:
  virtual ~Clock();
  virtual TimePoint now() const = 0;
  virtual void sleep_until(TimePoint when) = 0;
};

/// The steady clock of the machine. Any thread.
PANTHER_CORE_API Clock& real_clock();

/// A clock that moves only when told to. Any thread; `sleep_until` moves it.
class PANTHER_CORE_API ManualClock final : public Clock {
 public:
  TimePoint now() const override;
  void sleep_until(TimePoint when) override;
  void advance(Duration by);

 private:
  mutable std::mutex mutex_;
  TimePoint now_{};
};

/// Since 1970, by the machine's calendar clock: for files that people and other programs read.
inline double unix_seconds() { return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count(); }

inline double seconds(Duration duration) { return std::chrono::duration<double>(duration).count(); }

}  // namespace panther
