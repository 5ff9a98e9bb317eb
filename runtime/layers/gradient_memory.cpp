#include "runtime/layers/gradient_memory.h"

#include <ATen/ops/empty_like.h>
#include <torch/csrc/autograd/variable.h>

namespace panther::runtime {

at::Tensor gradient_memory(const at::Tensor& leaf) {
  const auto& hook = torch::autograd::impl::post_acc_grad_hooks(leaf);
  if (auto* owner = dynamic_cast<GradientOwner*>(hook.get())) {
    at::Tensor memory = owner->take_memory();
    if (memory.defined()) return memory;
  }
  return at::empty_like(leaf.detach());
}

}  // namespace panther::runtime
