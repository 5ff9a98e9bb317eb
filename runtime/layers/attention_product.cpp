#include "runtime/layers/attention_product.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/scaled_dot_product_attention.h>
#include <torch/csrc/autograd/custom_function.h>

#include "core/error.h"
#include "kernels/cpu/causal_attention.h"
#include "runtime/layers/host_path.h"

namespace panther::runtime {
namespace {

cpu::AttentionShape shape_of(const at::Tensor& qkv, std::int64_t heads) { return {qkv.size(0), qkv.size(1), heads, qkv.size(2) / (3 * heads)}; }

struct Attended {
  at::Tensor out;
  at::Tensor log_sum;
};

/// qkv is contiguous.
Attended attend(const at::Tensor& qkv, std::int64_t heads) {
  const cpu::AttentionShape shape = shape_of(qkv, heads);
  Attended result{at::empty({shape.batch, shape.length, shape.width()}, qkv.options()), at::empty({shape.batch, heads, shape.length}, qkv.options())};
  cpu::causal_attention(shape, qkv.const_data_ptr<float>(), result.out.data_ptr<float>(), result.log_sum.data_ptr<float>());
  return result;
}

struct HostAttention : torch::autograd::Function<HostAttention> {
  static at::Tensor forward(torch::autograd::AutogradContext* context, const at::Tensor& qkv, std::int64_t heads) {
    const at::Tensor rows = qkv.contiguous();
    const Attended attended = attend(rows, heads);
    context->save_for_backward({rows, attended.out, attended.log_sum});
    context->saved_data["heads"] = heads;
    return attended.out;
  }
  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context, torch::autograd::variable_list gradients) {
    if (at::GradMode::is_enabled()) fail(ErrorCode::Unsupported, "attention in f32 on the CPU has no second derivative; call backward without create_graph");
    const auto saved = context->get_saved_variables();
    const at::Tensor dout = gradients[0].contiguous(), dqkv = at::empty_like(saved[0]);
    cpu::causal_attention_backward(shape_of(saved[0], context->saved_data.at("heads").toInt()), saved[0].const_data_ptr<float>(),
                                   saved[1].const_data_ptr<float>(), saved[2].const_data_ptr<float>(), dout.const_data_ptr<float>(),
                                   dqkv.data_ptr<float>());
    return {dqkv, at::Tensor()};
  }
};

at::Tensor torch_attention(const at::Tensor& qkv, std::int64_t heads) {
  const std::int64_t batch = qkv.size(0), length = qkv.size(1), width = qkv.size(2) / 3;
  const auto parts = qkv.view({batch, length, 3, heads, width / heads}).unbind(2);
  const at::Tensor mixed = at::scaled_dot_product_attention(parts[0].transpose(1, 2), parts[1].transpose(1, 2), parts[2].transpose(1, 2),
                                                            /*attn_mask=*/{}, /*dropout_p=*/0.0, /*is_causal=*/true);
  return mixed.transpose(1, 2).reshape({batch, length, width});
}

}  // namespace

at::Tensor causal_attention(const at::Tensor& qkv, std::int64_t heads) {
  if (!takes_host_path(qkv) || qkv.size(0) == 0 || !cpu::has_causal_attention(shape_of(qkv, heads))) return torch_attention(qkv, heads);
  if (at::GradMode::is_enabled() && qkv.requires_grad()) return HostAttention::apply(qkv, heads);
  return attend(qkv.contiguous(), heads).out;
}

}  // namespace panther::runtime
