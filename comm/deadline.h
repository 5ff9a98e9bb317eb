#pragma once
// A point in time after which waiting is an error.
#include <chrono>

namespace panther::comm {

struct Deadline {
  std::chrono::steady_clock::time_point when = std::chrono::steady_clock::time_point::max();

  static Deadline after(std::chrono::nanoseconds delay) {
    if (delay == std::chrono::nanoseconds::max()) return {};
    return {std::chrono::steady_clock::now() + delay};
  }
  static Deadline never() { return {}; }
  bool passed() const { return std::chrono::steady_clock::now() >= when; }
  /// Zero when passed.
  std::chrono::nanoseconds left() const {
    const auto now = std::chrono::steady_clock::now();
    if (when == std::chrono::steady_clock::time_point::max()) return std::chrono::nanoseconds::max();
    return when > now ? when - now : std::chrono::nanoseconds::zero();
  }
};

}  // namespace panther::comm
