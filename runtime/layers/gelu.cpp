#include "runtime/layers/gelu.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/gelu.h>
#include <torch/csrc/autograd/custom_function.h>

#include "core/error.h"
#include "kernels/cpu/gelu.h"
#include "runtime/layers/host_path.h"

namespace panther::runtime {
namespace {

struct HostGelu : torch::autograd::Function<HostGelu> {
  static at::Tensor forward(torch::autograd::AutogradContext* context, const at::Tensor& x) {
    const at::Tensor rows = x.contiguous(), y = at::empty_like(rows), slope = at::empty_like(rows);
    cpu::gelu(rows.const_data_ptr<float>(), rows.numel(), y.data_ptr<float>(), slope.data_ptr<float>());
    context->save_for_backward({slope});
    return y;
  }
  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context, torch::autograd::variable_list gradients) {
    if (at::GradMode::is_enabled()) fail(ErrorCode::Unsupported, "gelu in f32 on the CPU has no second derivative; call backward without create_graph");
    return {gradients[0] * context->get_saved_variables()[0]};
  }
};

}  // namespace

at::Tensor exact_gelu(const at::Tensor& x) {
  if (!takes_host_path(x)) return at::gelu(x);
  if (at::GradMode::is_enabled() && x.requires_grad()) return HostGelu::apply(x);
  const at::Tensor rows = x.contiguous(), y = at::empty_like(rows);
  cpu::gelu(rows.const_data_ptr<float>(), rows.numel(), y.data_ptr<float>(), nullptr);
  return y;
}

}  // namespace panther::runtime
