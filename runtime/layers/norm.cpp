#include "runtime/layers/norm.h"

#include <ATen/ops/layer_norm.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/rms_norm.h>
#include <ATen/ops/zeros.h>

#include "core/error.h"

namespace panther::runtime {
namespace {

constexpr double kEpsilon = 1e-5;

}  // namespace

Norm::Norm(const NormOptions& options, const BuildContext& context) : options_(options) {
  PANTHER_REQUIRE(options.kind == "layer" || options.kind == "rms", "norm '", options.kind, "' is not known; use layer or rms");
  const at::TensorOptions tensor_options = at::TensorOptions(context.device).dtype(context.dtype);
  weight_ = register_parameter("weight", at::ones({options.width}, tensor_options));
  if (options.kind == "layer" && options.bias) bias_ = register_parameter("bias", at::zeros({options.width}, tensor_options));
}

at::Tensor Norm::forward(const at::Tensor& x) {
  if (options_.kind == "rms") return at::rms_norm(x, {options_.width}, weight_, kEpsilon);
  return at::layer_norm(x, {options_.width}, weight_, bias_, kEpsilon);
}

void Norm::describe(const std::string& path, std::vector<LayerFacts>& out) const {
  LayerFacts facts;
  facts.path = path;
  facts.kind = "norm." + options_.kind;
  facts.in_features = facts.out_features = options_.width;
  facts.parameters = facts.dense_parameters = weight_.numel() + (bias_.defined() ? bias_.numel() : 0);
  // The input and one or two statistics.
  facts.saved_bytes_per_row = (options_.width + (options_.kind == "layer" ? 2 : 1)) * static_cast<std::int64_t>(weight_.element_size());
  out.push_back(std::move(facts));
}

void Norm::annotate(std::string_view, ParameterInfo& info) const { info.decay = false; }

}  // namespace panther::runtime
