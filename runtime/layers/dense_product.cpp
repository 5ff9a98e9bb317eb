#include "runtime/layers/dense_product.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/sum.h>
#include <torch/csrc/autograd/custom_function.h>

#include "core/error.h"
#include "runtime/layers/gradient_memory.h"
#include "runtime/layers/host_path.h"
#include "runtime/tensor/view_of.h"

namespace panther::runtime {
namespace {

/// x as contiguous rows; no copy when it already is.
at::Tensor rows_of(const at::Tensor& x) { return x.contiguous().view({-1, x.size(-1)}); }

void multiply(const at::Tensor& a_MK, const at::Tensor& b_KN, const at::Tensor& c_MN, const at::Tensor& bias_N = {}) {
  runtime_kernels(DeviceKind::cpu).gemm(1.0, view_of(a_MK), view_of(b_KN), 0.0, view_of(c_MN), bias_N.defined() ? view_of(bias_N) : TensorView{}, {}, {});
}

at::Tensor forward_product(const at::Tensor& x, const at::Tensor& weight_OD, const at::Tensor& bias_O) {
  std::vector<std::int64_t> shape = x.sizes().vec();
  shape.back() = weight_OD.size(0);
  const at::Tensor x_BD = rows_of(x), y_BO = at::empty({x_BD.size(0), weight_OD.size(0)}, x.options());
  multiply(x_BD, weight_OD.detach().t(), y_BO, bias_O.defined() ? bias_O.detach() : bias_O);
  return y_BO.view(shape);
}

struct HostProduct : torch::autograd::Function<HostProduct> {
  static at::Tensor forward(torch::autograd::AutogradContext* context, const at::Tensor& x, const at::Tensor& weight_OD,
                            const std::optional<at::Tensor>& bias_O) {
    context->save_for_backward({x, weight_OD});
    context->saved_data["bias"] = bias_O.has_value();
    return forward_product(x, weight_OD, bias_O.value_or(at::Tensor()));
  }
  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context, torch::autograd::variable_list gradients) {
    if (at::GradMode::is_enabled()) fail(ErrorCode::Unsupported, "dense layers in f32 on the CPU have no second derivative; call backward without create_graph");
    const auto saved = context->get_saved_variables();
    const at::Tensor x_BD = rows_of(saved[0]), dy_BO = rows_of(gradients[0]), weight_OD = saved[1].detach();
    at::Tensor dx, dweight_OD, dbias_O;
    if (context->needs_input_grad(1)) {
      dweight_OD = gradient_memory(saved[1]);
      multiply(dy_BO.t(), x_BD, dweight_OD);
    }
    if (context->saved_data.at("bias").toBool() && context->needs_input_grad(2)) dbias_O = dy_BO.sum(0);
    if (context->needs_input_grad(0)) {
      dx = at::empty(saved[0].sizes(), x_BD.options());
      multiply(dy_BO, weight_OD, dx.view(x_BD.sizes()));
    }
    return {dx, dweight_OD, dbias_O};
  }
};

}  // namespace

at::Tensor dense_product(const at::Tensor& x, const at::Tensor& weight_OD, const at::Tensor& bias_O) {
  if (!takes_host_path(x) || weight_OD.scalar_type() != at::kFloat || x.numel() == 0) return at::linear(x, weight_OD, bias_O);
  if (!at::GradMode::is_enabled()) return forward_product(x, weight_OD, bias_O);
  return HostProduct::apply(x, weight_OD, bias_O.defined() ? std::optional<at::Tensor>(bias_O) : std::nullopt);
}

}  // namespace panther::runtime
