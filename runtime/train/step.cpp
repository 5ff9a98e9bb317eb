#include "runtime/train/step.h"

#include <chrono>
#include <cmath>

#include "core/error.h"
#include "runtime/layers/autocast.h"
#include "runtime/observe/timeline.h"
#include "runtime/parallel/sketch_checksum.h"

namespace panther::runtime {

namespace {

/// Seconds since the last call.
class Stopwatch {
 public:
  double lap() {
    const auto now = std::chrono::steady_clock::now();
    const double passed = std::chrono::duration<double>(now - last_).count();
    last_ = now;
    return passed;
  }

 private:
  std::chrono::steady_clock::time_point last_ = std::chrono::steady_clock::now();
};

int count_non_empty(const StepBatch& batch) {
  int count = 0;
  for (const Batch& micro : batch.micro) count += micro.size() > 0 ? 1 : 0;
  return count;
}

/// On all ranks alike: they hold the same sums.
void require_whole_gradients(const StepParts& parts, std::int64_t step) {
  if (parts.verify_every == 0 || (step + 1) % parts.verify_every != 0) return;
  const std::vector<BrokenChecksum> broken = broken_checksums(parts.model, parts.exchange_unit);
  if (broken.empty()) return;
  fail(ErrorCode::Corrupt, "step ", step + 1, ": the exchanged gradients of ", broken.size(), " sketched layer(s) do not fit together, first of '", broken.front().layer,
       "' (||U2^T dS1 - dS2 U1^T|| = ", broken.front().residual, ", rounding explains ", broken.front().allowed,
       "): a message was damaged or a rank computed wrongly. Nothing of this step was applied; resume from the last checkpoint, and run with comm.checked = true to find the message");
}

}  // namespace

StepResult train_step(const StepParts& parts, const StepBatch& batch, std::int64_t step, double lr, comm::ControlWord control) {
  StepResult result;
  result.times.data_seconds = batch.wait_seconds;
  Stopwatch watch;
  const int passes = count_non_empty(batch);
  int passes_left = passes;
  parts.sync.begin_step(passes);
  double loss_sum = 0;
  for (const Batch& micro : batch.micro) {
    if (micro.size() == 0) continue;
    at::Tensor loss;
    {
      const TimelineRange range("forward", step);
      const AutocastGuard autocast(micro.inputs.device(), parts.bf16);
      loss = parts.model.loss_sum(micro, ForwardContext{step, micro.sample_ids, parts.seed});
      loss_sum += loss.item<double>();
    }
    result.times.forward_seconds += watch.lap();
    if (--passes_left == 0) {
      control.nonfinite = !std::isfinite(loss_sum);
      parts.sync.set_control(control, loss_sum);
    }
    const TimelineRange range("backward", step);
    (loss / static_cast<double>(batch.global_targets)).backward();
    result.times.backward_seconds += watch.lap();
  }
  if (passes == 0) parts.sync.set_control(control, 0);
  {
    const TimelineRange range("exchange wait", step);
    result.exchange = parts.sync.finish();
  }
  result.times.exposed_seconds = watch.lap();
  const TimelineRange range("optimizer", step);
  result.loss = result.exchange.loss_sum / static_cast<double>(batch.global_targets);
  result.gradient_norm = parts.shards != nullptr ? parts.shards->gradient_norm() : gradient_norm(parts.parameters);
  result.skipped = result.exchange.control.nonfinite || !std::isfinite(result.loss) || !std::isfinite(result.gradient_norm);
  if (!result.skipped) require_whole_gradients(parts, step);
  if (result.skipped) {
    const std::string parameter = parts.sync.reject_step();
    if (result.exchange.nonfinite_parameter.empty()) result.exchange.nonfinite_parameter = parameter;
  } else {
    parts.optimizer.step(lr, clip_scale(result.gradient_norm, parts.clip));
    if (parts.shards != nullptr) result.exchange.bytes_sent += parts.shards->gather_parameters();
  }
  result.times.optimizer_seconds = watch.lap();
  return result;
}

}  // namespace panther::runtime
