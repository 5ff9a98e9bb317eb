#pragma once
#include <ATen/core/Tensor.h>

#include "runtime/export.h"

namespace panther::runtime {

/// The exact GELU, elementwise. Like torch's it keeps one tensor for backward: on the host path (f32, CPU) the derivative, which
/// forward gets almost for nothing. There are no second derivatives there: Unsupported.
PANTHER_RUNTIME_API at::Tensor exact_gelu(const at::Tensor& x);

}  // namespace panther::runtime
