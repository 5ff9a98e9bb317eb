#pragma once
// The feed-forward part of a block.
#include "runtime/layers/layer.h"

namespace panther::runtime {

/// gelu (exact), relu, or swiglu's silu. Throws InvalidArgument for other names.
enum class Activation { gelu, relu, swiglu };
PANTHER_RUNTIME_API Activation parse_activation(std::string_view name);

struct MlpOptions {
  std::string path;
  std::int64_t width = 0;
  std::int64_t hidden = 0;
  Activation activation = Activation::gelu;
  bool bias = true;
  double down_init_std = 0;   ///< as LinearOptions::init_std
};

/// Children: gate (swiglu only), up (width -> hidden), down (hidden -> width).
/// gelu, relu: down(act(up(x))); swiglu: down(silu(gate(x)) * up(x)) (Shazeer, arXiv 2002.05202).
class PANTHER_RUNTIME_API Mlp final : public Layer {
 public:
  Mlp(const MlpOptions& options, const BuildContext& context);
  at::Tensor forward(const at::Tensor& x);
  void describe(const std::string& path, std::vector<LayerFacts>& out) const override;

 private:
  MlpOptions options_;
  std::shared_ptr<Linear> gate_;
  std::shared_ptr<Linear> up_;
  std::shared_ptr<Linear> down_;
};

}  // namespace panther::runtime
