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

void set_terms(Linear& layer, const ImportedTerms& terms) {
  const at::NoGradGuard no_grad;
  auto* sketched = dynamic_cast<SketchedLinear*>(&layer);
  PANTHER_REQUIRE(sketched != nullptr, "sketched terms do not fit a layer of kind ", layer.spec().kind);
  PANTHER_REQUIRE(terms.s1s_LDr.defined() && terms.s1s_LDr.dim() == 3, "S1s must have shape (terms, inputs, rank)");
  const std::int64_t count = terms.s1s_LDr.size(0), rank = terms.s1s_LDr.size(2), in = layer.in_features(), out = layer.out_features();
  PANTHER_REQUIRE(count * rank == layer.spec().sketch_size, count, " terms of rank ", rank, " need sketch_size = ", count * rank, ", the layer has ",
                  layer.spec().sketch_size);
  require_shape("S1s", terms.s1s_LDr, {count, in, rank});
  require_shape("S2s", terms.s2s_LrO, {count, rank, out});
  require_shape("U1s", terms.u1s_LrO, {count, rank, out});
  require_shape("U2s", terms.u2s_LDr, {count, in, rank});
  const double magnitude = 1.0 / std::sqrt(static_cast<double>(rank));
  require_signs("U1s", terms.u1s_LrO, magnitude);
  require_signs("U2s", terms.u2s_LDr, magnitude);
  const auto stack_in = [&](const at::Tensor& t_LDr) { return t_LDr.transpose(1, 2).reshape({count * rank, in}); };
  const auto stack_out = [&](const at::Tensor& t_LrO) { return t_LrO.reshape({count * rank, out}); };
  sketched->set_signs(stack_out(terms.u1s_LrO), stack_in(terms.u2s_LDr));
  // 1 / (2 L sqrt(r)) of the predecessor is alpha times this.
  const double scale = 1.0 / (2.0 * static_cast<double>(count) * std::sqrt(static_cast<double>(rank)) * layer.spec().alpha);
  const auto parameters = layer.named_parameters(/*recurse=*/false);
  parameters["s1"].detach().copy_(stack_in(terms.s1s_LDr.to(at::kDouble)) * scale);
  parameters["s2"].detach().copy_(stack_out(terms.s2s_LrO.to(at::kDouble)) * scale);
  set_bias(layer, terms.bias_O);
}

std::shared_ptr<Linear> import_terms(const ImportedTerms& terms, const std::string& path, const BuildContext& context) {
  PANTHER_REQUIRE(terms.s1s_LDr.defined() && terms.s1s_LDr.dim() == 3 && terms.s2s_LrO.defined() && terms.s2s_LrO.dim() == 3,
                  "S1s must have shape (terms, inputs, rank) and S2s (terms, rank, outputs)");
  const std::int64_t size = terms.s1s_LDr.size(0) * terms.s1s_LDr.size(2);
  auto layer = std::make_shared<SketchedLinear>(LinearOptions{path, terms.s1s_LDr.size(1), terms.s2s_LrO.size(2), terms.bias_O.defined(), 0},
                                                SketchSpec{"sketched", size, "imported", native_alpha(size)}, context);
  set_terms(*layer, terms);
  return layer;
}

}  // namespace panther::runtime
