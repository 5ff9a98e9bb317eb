#pragma once
// GELU of f32 arrays on the CPU. On other devices and dtypes the runtime takes torch's.
#include <cstdint>

#include "kernels/export.h"

namespace panther::cpu {

/// y[i] = gelu(x[i]) and, unless null, slope[i] = gelu'(x[i]); kernels/element/gelu.h states the error. y may be x.
PANTHER_KERNELS_API void gelu(const float* x, std::int64_t count, float* y, float* slope);

}  // namespace panther::cpu
