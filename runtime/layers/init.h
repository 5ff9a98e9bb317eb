#pragma once
// Start values from counters: the same for every device, world size and thread count.
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string_view>

#include "runtime/export.h"

namespace panther::runtime {

/// Fills the tensor with N(0, std^2) keyed by (seed, path, element), element = position in row-major order. Box-Muller over
/// Philox (domain init) in f64, rounded once. Any floating dtype, device and strides; not recorded by autograd.
PANTHER_RUNTIME_API void init_normal_(const at::Tensor& tensor, std::uint64_t seed, std::string_view path, double std);

}  // namespace panther::runtime
