#pragma once
// Layer norm and RMS norm over the last dimension.
#include "runtime/layers/layer.h"

namespace panther::runtime {

struct NormOptions {
  std::string kind = "layer";  ///< layer | rms
  std::int64_t width = 0;
  bool bias = true;            ///< layer norm only
};

/// Parameters: weight (width, ones), bias (width, zeros; layer norm with bias).
class PANTHER_RUNTIME_API Norm final : public Layer {
 public:
  Norm(const NormOptions& options, const BuildContext& context);
  at::Tensor forward(const at::Tensor& x);
  void describe(const std::string& path, std::vector<LayerFacts>& out) const override;
  void annotate(std::string_view local_name, ParameterInfo& info) const override;

 private:
  NormOptions options_;
  at::Tensor weight_;
  at::Tensor bias_;
};

}  // namespace panther::runtime
