#pragma once
// Momentum before compression: m' = keep m + (1 - keep) g is compressed instead of g, by each rank on its own (signSGD with momentum, Bernstein et al. 2018,
// arXiv 1802.04434; with error feedback around it as in dist-EF-SGDM, Zheng et al. 2019, arXiv 1905.10936). The sum over ranks is the momentum of the sum.
#include "comm/exchange/bucket_parts.h"
#include "kernels/pack/pack_kernels.h"

namespace panther::comm {

class GradientMomentum {
 public:
  /// `keep` = 0: none, and no memory.
  GradientMomentum(const BucketParts& parts, double keep, Allocator& allocator);

  /// What stands for a part's gradient in this step.
  const float* take_in(const CompressedPart& part, const PackKernels& kernels) const;

  /// What the step made of it becomes the state.
  void commit() noexcept { flipped_ = !flipped_; }
  void save(const StateSink& put) const;
  void load(const StateSource& get);

 private:
  float* half(bool second) const noexcept { return static_cast<float*>(memory_.data()) + (second ? parts_.compressed_numel() : 0); }

  const BucketParts& parts_;
  float keep_;
  Workspace memory_;
  bool flipped_ = false;
};

}  // namespace panther::comm
