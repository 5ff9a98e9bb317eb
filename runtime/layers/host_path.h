#pragma once
// When a layer may take the kernels of kernels/cpu instead of torch's operators.
#include <ATen/autocast_mode.h>
#include <ATen/core/Tensor.h>

namespace panther::runtime {

/// f32 in host memory, and autocast does not want another type.
inline bool takes_host_path(const at::Tensor& x) {
  return x.is_cpu() && x.scalar_type() == at::kFloat && !at::autocast::is_autocast_enabled(at::kCPU);
}

}  // namespace panther::runtime
