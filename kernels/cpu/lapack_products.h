#pragma once
// The matrix products among the CPU's LapackKernels; contracts in kernels/linalg/lapack_kernels.h.
#include "kernels/linalg/lapack_kernels.h"

namespace panther::cpu {

void gram(const TensorView& a_MN, const TensorView& g_NN, Allocator& allocator, Stream stream);
void solve_upper(Side side, bool transpose, double alpha, const TensorView& t_NN, const TensorView& b, Allocator& allocator, Stream stream);
void divide_by_pivoted(const TensorView& r_NN, const TensorView& b_MN, Allocator& allocator, Stream stream);
void multiply_upper(Side side, bool transpose, const TensorView& t_NN, const TensorView& b, Allocator& allocator, Stream stream);

}  // namespace panther::cpu
