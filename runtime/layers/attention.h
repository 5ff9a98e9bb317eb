#pragma once
// Causal multi-head self-attention.
#include "runtime/layers/layer.h"

namespace panther::runtime {

struct AttentionOptions {
  std::string path;
  std::int64_t width = 0;
  std::int64_t heads = 0;       ///< divides width
  std::int64_t sequence = 0;    ///< longest sequence, for the facts
  bool bias = true;
  double proj_init_std = 0;     ///< of the output projection, as LinearOptions::init_std
};

/// Children: qkv (width -> 3 width, one product; q, k, v in this order), proj (width -> width). torch's fused kernels, dropout 0.
class PANTHER_RUNTIME_API CausalSelfAttention final : public Layer {
 public:
  CausalSelfAttention(const AttentionOptions& options, const BuildContext& context);
  /// (B, T, width) -> (B, T, width); position t sees positions <= t.
  at::Tensor forward(const at::Tensor& x);
  void describe(const std::string& path, std::vector<LayerFacts>& out) const override;

 private:
  AttentionOptions options_;
  std::shared_ptr<Linear> qkv_;
  std::shared_ptr<Linear> proj_;
};

}  // namespace panther::runtime
