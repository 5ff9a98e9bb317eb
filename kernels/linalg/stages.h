#pragma once
// How long each stage of a decomposition took: told to the progress functor and returned with the result.
#include <chrono>
#include <string>
#include <string_view>
#include <vector>

#include "kernels/linalg/context.h"

namespace panther::linalg {

struct StageTime {
  std::string name;
  double seconds = 0;
};

/// One stage runs at a time; a name used again adds to its first entry. On CUDA a stage ends when the stream is done.
class StageClock {
 public:
  explicit StageClock(const Context& context) : context_(context) {}
  /// Ends the running stage and begins another. `share` of the whole work is done, in [0, 1].
  void begin(std::string_view name, double share);
  /// Ends the running stage, tells 1, and gives all times.
  std::vector<StageTime> finish();

 private:
  void end();

  const Context& context_;
  std::vector<StageTime> stages_;
  std::size_t running_ = static_cast<std::size_t>(-1);
  std::chrono::steady_clock::time_point started_;
};

}  // namespace panther::linalg
