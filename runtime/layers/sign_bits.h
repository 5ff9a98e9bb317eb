#pragma once
// Signs that do not come from a seed, one bit each: imported layers store them with their weights.
#include <ATen/core/Tensor.h>

#include "runtime/export.h"

namespace panther::runtime {

/// (rows, n) of +-s, any dtype, to (rows, ceil(n / 8)) u8 on the CPU; bit i % 8 of byte i / 8 is set for a negative entry.
PANTHER_RUNTIME_API at::Tensor pack_signs(const at::Tensor& signs);
/// Writes +-1 into `out` (rows, n), any dtype and device.
PANTHER_RUNTIME_API void unpack_signs(const at::Tensor& bits, const at::Tensor& out);

}  // namespace panther::runtime
