#pragma once
// CUDA's table of kernels/linear/linear_kernels.h.
#include "kernels/linear/linear_kernels.h"

namespace panther::cuda {

const LinearKernels& linear_kernels();

/// c = epilogue(alpha a b + beta c) in one cuBLASLt call; sizes > 0, arguments checked. False when it has no such epilogue for these
/// arguments; nothing is launched then.
/// c = alpha a b + beta c with c of f32 and a, b of bf16 or f16. False, with c untouched, when cuBLASLt cannot.
bool gemm_widening(double alpha, const TensorView& a_MK, const TensorView& b_KN, double beta, const TensorView& c_MN, std::span<std::byte> workspace, Stream stream);

bool gemm_with_epilogue(double alpha, const TensorView& a_MK, const TensorView& b_KN, double beta, const TensorView& c_MN, const LinearEpilogue& epilogue,
                        std::span<std::byte> workspace, Stream stream);

}  // namespace panther::cuda
