#include "runtime/layers/sketched_product.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>
#include <torch/csrc/autograd/custom_function.h>

#include "core/error.h"
#include "kernels/linear/sketched_linear.h"
#include "runtime/tensor/view_of.h"

namespace panther::runtime {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// cuBLASLt's advice for Hopper: with it the split-K algorithms that tall products need are available.
constexpr std::int64_t kDeviceWorkspaceBytes = 32 << 20;

/// Where and with what one call runs.
struct Launch {
  const KernelSet& kernels;
  Stream stream;
  at::Tensor workspace;

  explicit Launch(const at::Tensor& x)
      : kernels(runtime_kernels(x.is_cuda() ? DeviceKind::cuda : DeviceKind::cpu)), stream(current_stream(view_of(x).device)) {
    if (x.is_cuda()) workspace = at::empty({kDeviceWorkspaceBytes}, x.options().dtype(at::kByte));
  }
  std::span<std::byte> space() const {
    if (!workspace.defined()) return {};
    return {static_cast<std::byte*>(workspace.data_ptr()), static_cast<std::size_t>(workspace.numel())};
  }
};

SketchedLinearWeights views_of(const SketchedWeights& weights) { return {view_of(weights.pt_2RD), view_of(weights.q_2RO), weights.alpha}; }

/// x as contiguous rows; no copy when it already is.
at::Tensor rows_of(const at::Tensor& x, std::int64_t width) { return x.contiguous().view({-1, width}); }

struct Product {
  at::Tensor y_BO;
  at::Tensor h_B2R;
};

Product multiply(const at::Tensor& x_BD, const SketchedWeights& weights) {
  const Launch launch(x_BD);
  Product result{at::empty({x_BD.size(0), weights.q_2RO.size(1)}, weights.q_2RO.options()),
                 at::empty({x_BD.size(0), weights.pt_2RD.size(0)}, weights.pt_2RD.options())};
  const TensorView bias = weights.bias_O.defined() ? view_of(weights.bias_O) : TensorView{};
  sketched_linear_forward(launch.kernels, views_of(weights), view_of(x_BD), bias, view_of(result.h_B2R), view_of(result.y_BO), launch.space(),
                          launch.stream);
  return result;
}

std::vector<std::int64_t> with_last(at::IntArrayRef shape, std::int64_t last) {
  std::vector<std::int64_t> result = shape.vec();
  result.back() = last;
  return result;
}

struct SketchedProduct : torch::autograd::Function<SketchedProduct> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x, const at::Tensor&, const at::Tensor&,
                            const std::optional<at::Tensor>& bias, const c10::intrusive_ptr<SketchedWeights>& weights) {
    const at::Tensor cast = x.to(weights->pt_2RD.scalar_type());
    const std::int64_t sketch_size = weights->pt_2RD.size(0) / 2;
    const Product product = multiply(rows_of(cast, cast.size(-1)), *weights);
    // A copy of the half that backward needs, so that X S1 is freed now.
    context->save_for_backward({cast, product.h_B2R.narrow(1, sketch_size, sketch_size).contiguous()});
    context->saved_data["weights"] = c10::IValue::make_capsule(weights);
    context->saved_data["bias"] = bias.has_value();
    return product.y_BO.view(with_last(x.sizes(), product.y_BO.size(1)));
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    if (at::GradMode::is_enabled()) fail(ErrorCode::Unsupported, "sketched layers have no second derivatives; call backward without create_graph");
    const auto saved = context->get_saved_variables();
    const auto weights = c10::static_intrusive_pointer_cast<SketchedWeights>(context->saved_data.at("weights").toCapsule());
    const at::Tensor x_BD = rows_of(saved[0], weights->pt_2RD.size(1));
    const at::Tensor dy_BO = rows_of(gradients[0], weights->q_2RO.size(1));
    const std::int64_t sketch_size = weights->pt_2RD.size(0) / 2;
    const Launch launch(x_BD);
    const at::Tensor dh_B2R = at::empty({x_BD.size(0), 2 * sketch_size}, x_BD.options());
    at::Tensor dx_BD;
    if (context->needs_input_grad(0)) dx_BD = at::empty_like(x_BD);
    const at::Tensor ds1_RD = at::empty({sketch_size, x_BD.size(1)}, x_BD.options());
    const at::Tensor ds2_RO = at::empty({sketch_size, dy_BO.size(1)}, x_BD.options());
    sketched_linear_backward(launch.kernels, views_of(*weights), view_of(x_BD), view_of(saved[1]), view_of(dy_BO), view_of(dh_B2R),
                             {dx_BD.defined() ? view_of(dx_BD) : TensorView{}, view_of(ds1_RD), view_of(ds2_RO), 0.0}, launch.space(), launch.stream);
    at::Tensor dbias;
    const auto sum_type = at::isReducedFloatingType(dy_BO.scalar_type()) ? at::kFloat : dy_BO.scalar_type();
    if (context->saved_data.at("bias").toBool()) dbias = dy_BO.sum(0, /*keepdim=*/false, sum_type);
    return {dx_BD.defined() ? dx_BD.view(saved[0].sizes()) : dx_BD, ds1_RD, ds2_RO, dbias, at::Tensor()};
  }
};

}  // namespace

at::Tensor sketched_product(const at::Tensor& x, const at::Tensor& s1_RD, const at::Tensor& s2_RO, const at::Tensor& bias_O,
                            const c10::intrusive_ptr<SketchedWeights>& weights) {
  if (at::GradMode::is_enabled()) {
    return SketchedProduct::apply(x, s1_RD, s2_RO, bias_O.defined() ? std::optional<at::Tensor>(bias_O) : std::nullopt, weights);
  }
  const at::Tensor cast = x.to(weights->pt_2RD.scalar_type());
  const Product product = multiply(rows_of(cast, cast.size(-1)), *weights);
  return product.y_BO.view(with_last(x.sizes(), product.y_BO.size(1)));
}

}  // namespace panther::runtime
