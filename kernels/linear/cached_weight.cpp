#include "kernels/linear/cached_weight.h"

namespace panther {

const TensorView& CachedWeight::get(const LinearLaunch& launch, const SketchedLinearWeights& weights) {
  const std::int64_t inputs = weights.pt_2RD.shape[1], outputs = weights.q_2RO.shape[1];
  const bool fits = memory_ != nullptr && view_.dtype == weights.pt_2RD.dtype && view_.shape[0] == inputs && view_.shape[1] == outputs &&
                    view_.device == weights.pt_2RD.device;
  if (fits && valid_) return view_;
  if (!fits) {
    release();
    const Device device = weights.pt_2RD.device;
    memory_ = std::make_unique<Workspace>(allocator_, static_cast<std::size_t>(inputs * outputs) * size_of(weights.pt_2RD.dtype), device, launch.stream);
    view_ = TensorView(memory_->data(), weights.pt_2RD.dtype, {inputs, outputs}, device);
  }
  materialize_sketched_linear(launch, weights, view_);
  valid_ = true;
  return view_;
}

void CachedWeight::release() noexcept {
  valid_ = false;
  memory_.reset();
}

}  // namespace panther
