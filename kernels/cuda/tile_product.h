#pragma once
// The product kernel of our own: for operands cuBLASLt does not take (any strides, signs that are stored nowhere, an empty
// K). Tiles of 64 x 64 in shared memory, f32 or f64 arithmetic on the ordinary cores, each result rounded once.
#include <cuda_runtime_api.h>

#include "kernels/kernel_set.h"

namespace panther::cuda {

/// c = alpha a b + beta c (+ bias); arguments checked, any strides, any sizes.
void tile_gemm(double alpha, const TensorView& a_MK, const TensorView& b_KN, double beta, const TensorView& c_MN, const TensorView& bias_N,
               cudaStream_t stream);

}  // namespace panther::cuda
