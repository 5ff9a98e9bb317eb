#pragma once
#include <ATen/core/Tensor.h>

#include "runtime/export.h"

namespace panther::runtime {

/// y = x W^T + b, torch's linear. x: (..., D); weight_OD; bias_O may be undefined; y: (..., O). Keeps x. f32 on the CPU takes the kernel set's
/// product, without second derivatives (Unsupported); all else takes torch's.
PANTHER_RUNTIME_API at::Tensor dense_product(const at::Tensor& x, const at::Tensor& weight_OD, const at::Tensor& bias_O);

}  // namespace panther::runtime
