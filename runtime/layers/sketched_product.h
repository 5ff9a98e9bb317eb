#pragma once
// y = alpha (x P) Q + bias with its own backward: the hot path of sketched layers.
#include <ATen/core/Tensor.h>
#include <ATen/core/ivalue.h>

#include "runtime/export.h"

namespace panther::runtime {

/// The packed weights of kernels/linear/sketched_linear.h as tensors. Backward keeps them alive, and reads the values of that
/// time: they must not change between forward and backward.
struct SketchedWeights final : torch::CustomClassHolder {
  at::Tensor pt_2RD;
  at::Tensor q_2RO;
  at::Tensor bias_O;  ///< undefined: none
  double alpha = 1.0;
};

/// x: (..., D) in the dtype of the weights or, under autocast, any; y: (..., O) in the dtype of the weights. s1_RD, s2_RO and
/// bias_O (may be undefined) are the trained leaves that receive gradients; the values come from the weights. Saves x (cast to
/// the weights' dtype) and x U2 only: dH and x S1 live inside one call. No second derivatives: Unsupported.
PANTHER_RUNTIME_API at::Tensor sketched_product(const at::Tensor& x, const at::Tensor& s1_RD, const at::Tensor& s2_RO, const at::Tensor& bias_O,
                                                const c10::intrusive_ptr<SketchedWeights>& weights);

}  // namespace panther::runtime
