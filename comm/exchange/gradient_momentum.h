#pragma once
// Momentum before compression: m' = keep m + (1 - keep) g is compressed instead of g, by each rank on its own (signSGD with momentum, Bernstein et al. 2018,
// arXiv 1802.04434; with error feedback around it as in dist-EF-SGDM, Zheng et al. 2019, arXiv 1905.10936). The sum over ranks is the momentum of the sum.
#include "comm/exchange/part_state.h"
#include "kernels/pack/pack_kernels.h"

namespace panther::comm {

class GradientMomentum {
 public:
  /// `keep` = 0: none, and no memory.
  GradientMomentum(const BucketParts& parts, double keep, Allocator& allocator)
      : keep_(static_cast<float>(keep)), state_(parts, "/momentum", keep > 0, allocator) {}

  /// What stands for a part's gradient in this step.
  const float* take_in(const CompressedPart& part, const PackKernels& kernels, Stream stream) const {
    const auto* gradient = part.values.as<float>();
    if (!state_.enabled()) return gradient;
    kernels.running_mean(keep_, state_.current(part), gradient, part.member.numel, state_.next(part), stream);
    return state_.next(part);
  }

  /// What the step made of it becomes the state.
  void commit() noexcept { state_.commit(); }
  void save(const StateSink& put) const { state_.save(put); }
  void load(const StateSource& get) { state_.load(get); }

 private:
  float keep_;
  PartState state_;
};

}  // namespace panther::comm
