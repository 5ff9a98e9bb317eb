#pragma once
// Dropout whose mask belongs to the sample, not to the batch.
#include "runtime/layers/layer.h"

namespace panther::runtime {

/// Keeps each element with probability 1 - p and divides by it. The mask is a function of (seed, sample id, layer path, element of the
/// sample): the same for any batch composition, world size, device and thread count.
class PANTHER_RUNTIME_API Dropout final : public Layer {
 public:
  Dropout(std::string path, double p);
  /// x: (B, ...) with one sample id per row of the batch. The identity in evaluation or for p = 0.
  at::Tensor forward(const at::Tensor& x, const ForwardContext& context);
  /// 1 where kept: (samples, elements) u8 on the CPU. For tests.
  at::Tensor mask(const at::Tensor& sample_ids, std::int64_t elements, std::uint64_t seed) const;
  void describe(const std::string& path, std::vector<LayerFacts>& out) const override;

 private:
  std::string path_;
  double p_;
};

}  // namespace panther::runtime
