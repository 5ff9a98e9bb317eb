#pragma once
// Where a backward may put the gradient of a trained leaf, so that it need not be copied to where it is wanted.
#include <ATen/core/Tensor.h>
#include <torch/csrc/autograd/function_hook.h>

#include "runtime/export.h"

namespace panther::runtime {

/// A post-accumulate hook whose owner wants the gradient in memory of its own.
class GradientOwner : public torch::autograd::PostAccumulateGradHook {
 public:
  /// Memory of the leaf's shape, contents arbitrary, for the first gradient of a step and handed out once; undefined afterwards. Called on
  /// autograd's thread; the caller writes all of it and returns this very tensor as the leaf's gradient.
  virtual at::Tensor take_memory() = 0;
};

/// Memory for the gradient of `leaf`: its owner's where it has one to give, else new.
PANTHER_RUNTIME_API at::Tensor gradient_memory(const at::Tensor& leaf);

}  // namespace panther::runtime
