#pragma once
// Whole Walsh-Hadamard transforms in place with rows in registers; the CUDA half of HadamardKernels::transform.
#include "kernels/allocator.h"

namespace panther::cuda {

/// x_NC = scale H x_NC, N = 2^log2_size, with the additions of the CPU in their order. One pass over device memory up to N = 1024; up to 32768 a second one whose
/// rows come from the L2 cache. False where this way does not take the size, type or strides: then x is as it was.
bool register_transform(double scale, const TensorView& x_NC, int log2_size, Allocator& allocator, Stream stream);

}  // namespace panther::cuda
