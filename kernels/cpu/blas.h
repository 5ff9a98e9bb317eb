#pragma once
// A vendor's matrix product where there is one. gemm_openblas.cpp or gemm_plain.cpp, chosen by CMake.
#include "kernels/export.h"
#include "kernels/view.h"

namespace panther::cpu {

/// As KernelSet::gemm for arguments already checked, with every size > 0. False when the library has no routine for these
/// dtypes or strides; c is then untouched.
PANTHER_KERNELS_API bool blas_gemm(double alpha, const TensorView& a_MK, const TensorView& b_KN, double beta, const TensorView& c_MN,
                                   const TensorView& bias_N);

}  // namespace panther::cpu
