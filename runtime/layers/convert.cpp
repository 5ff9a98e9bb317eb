#include "runtime/layers/convert.h"

#include <ATen/core/grad_mode.h>

#include <cmath>

#include "core/error.h"
#include "runtime/layers/sketched_linear.h"

namespace panther::runtime {
namespace {

void set_bias(const Linear& layer, const at::Tensor& bias_O) {
  if (!bias_O.defined()) {
    if (layer.bias().defined()) layer.bias().detach().zero_();
    return;
  }
  PANTHER_REQUIRE(layer.bias().defined(), "the weights have a bias, the layer has none");
  PANTHER_REQUIRE(bias_O.sizes() == layer.bias().sizes(), "bias of shape ", bias_O.sizes(), " does not fit ", layer.bias().sizes());
  layer.bias().detach().copy_(bias_O);
}

void require_shape(const char* name, const at::Tensor& tensor, at::IntArrayRef shape) {
  PANTHER_REQUIRE(tensor.defined() && tensor.sizes() == shape, name, " must have shape ", shape, ", has ",
                  tensor.defined() ? tensor.sizes() : at::IntArrayRef());
}

void require_signs(const char* name, const at::Tensor& signs, double magnitude) {
  const double worst = (signs.to(at::kCPU, at::kDouble).abs() - magnitude).abs().max().item<double>();
  // The predecessor stores f32 or f16.
  PANTHER_REQUIRE(worst <= 1e-3 * magnitude, name, " must have entries +-1/sqrt(r) = +-", magnitude, "; one is off by ", worst);
}

}  // namespace

void initialise_from_dense(Linear& layer, const at::Tensor& weight_DO, const at::Tensor& bias_O, std::string_view how) {
  const at::NoGradGuard no_grad;
  PANTHER_REQUIRE(weight_DO.dim() == 2 && weight_DO.size(0) == layer.in_features() && weight_DO.size(1) == layer.out_features(), "W of shape ",
                  weight_DO.sizes(), " does not fit a layer of ", layer.in_features(), " inputs and ", layer.out_features(), " outputs");
  layer.set_dense_weight(weight_DO.to(at::kCPU, at::kDouble), how);
  set_bias(layer, bias_O);
}

std::shared_ptr<Linear> import_terms(const ImportedTerms& terms, const std::string& path, const BuildContext& context) {
  const at::NoGradGuard no_grad;
  PANTHER_REQUIRE(terms.s1s_LDr.defined() && terms.s1s_LDr.dim() == 3 && terms.s2s_LrO.defined() && terms.s2s_LrO.dim() == 3,
                  "S1s must be (L, in, r) and S2s (L, r, out)");
  const std::int64_t count = terms.s1s_LDr.size(0), in = terms.s1s_LDr.size(1), rank = terms.s1s_LDr.size(2), out = terms.s2s_LrO.size(2);
  require_shape("S2s", terms.s2s_LrO, {count, rank, out});
  require_shape("U1s", terms.u1s_LrO, {count, rank, out});
  require_shape("U2s", terms.u2s_LDr, {count, in, rank});
  const double magnitude = 1.0 / std::sqrt(static_cast<double>(rank));
  require_signs("U1s", terms.u1s_LrO, magnitude);
  require_signs("U2s", terms.u2s_LDr, magnitude);

  const SketchSpec spec{"sketched", count * rank, "imported", native_alpha(count * rank)};
  auto layer = std::make_shared<SketchedLinear>(LinearOptions{path, in, out, terms.bias_O.defined(), 0}, spec, context);
  const auto stack_in = [&](const at::Tensor& t_LDr) { return t_LDr.transpose(1, 2).reshape({count * rank, in}); };
  const auto stack_out = [&](const at::Tensor& t_LrO) { return t_LrO.reshape({count * rank, out}); };
  layer->set_signs(stack_out(terms.u1s_LrO), stack_in(terms.u2s_LDr));
  const double scale = 1.0 / std::sqrt(static_cast<double>(count));
  const auto parameters = layer->named_parameters(/*recurse=*/false);
  parameters["s1"].detach().copy_(stack_in(terms.s1s_LDr.to(at::kDouble)) * scale);
  parameters["s2"].detach().copy_(stack_out(terms.s2s_LrO.to(at::kDouble)) * scale);
  set_bias(*layer, terms.bias_O);
  return layer;
}

}  // namespace panther::runtime
