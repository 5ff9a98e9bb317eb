#pragma once
// Process-wide precision of f32 matrix products on CUDA.
#include "kernels/export.h"

namespace panther {

/// true lets f32 products use TF32 (10-bit mantissas, several times faster). Default false: true f32. Any thread; holds
/// for calls that start afterwards.
PANTHER_KERNELS_API void set_cuda_tf32(bool allow) noexcept;
PANTHER_KERNELS_API bool cuda_tf32() noexcept;

}  // namespace panther
