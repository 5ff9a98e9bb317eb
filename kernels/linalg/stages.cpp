#include "kernels/linalg/stages.h"

#include <algorithm>

#include "kernels/cuda/device_memory.h"

namespace panther::linalg {

void StageClock::end() {
  if (running_ >= stages_.size()) return;
  if (context_.kernels.device == DeviceKind::cuda) stream_synchronize(context_.stream);
  stages_[running_].seconds += std::chrono::duration<double>(std::chrono::steady_clock::now() - started_).count();
  running_ = static_cast<std::size_t>(-1);
}

void StageClock::begin(std::string_view name, double share) {
  end();
  context_.tell(name, share);
  const auto found = std::find_if(stages_.begin(), stages_.end(), [&](const StageTime& stage) { return stage.name == name; });
  running_ = static_cast<std::size_t>(found - stages_.begin());
  if (found == stages_.end()) stages_.push_back({std::string(name), 0});
  started_ = std::chrono::steady_clock::now();
}

std::vector<StageTime> StageClock::finish() {
  end();
  context_.tell("done", 1);
  return std::move(stages_);
}

}  // namespace panther::linalg
