#pragma once
// Matrices that sweeps work on: equal for equal sizes on every device.
#include "kernels/kernel_set.h"
#include "kernels/matrix.h"

namespace panther::bench {

/// rows x columns normal entries, column-major.
Matrix normal_matrix(const KernelSet& kernels, DType dtype, std::int64_t rows, std::int64_t columns);
/// n x n with singular values exactly 1 / j but for rounding: A = (I - 2 v v^T) diag(1 / j) (I - 2 w w^T) with random unit v and w. The
/// slowly falling spectrum on which range finders differ; a rotation by one reflection is all a range finder with random sketches can see.
Matrix falling_matrix(const KernelSet& kernels, DType dtype, std::int64_t n);

}  // namespace panther::bench
