#pragma once
// The entries of CUDA's LapackKernels that are kernels of our own; contracts in kernels/linalg/lapack_kernels.h.
#include "kernels/linalg/lapack_kernels.h"

namespace panther::cuda {

void gather_columns(const TensorView& source, std::span<const std::int64_t> columns, const TensorView& destination, Allocator& allocator, Stream stream);
void scatter_columns(const TensorView& source, std::span<const std::int64_t> columns, const TensorView& destination, Allocator& allocator, Stream stream);
void column_norms(const TensorView& a_MN, const TensorView& squares_N, Stream stream);
void fill(char part, double value, double diagonal, const TensorView& a_MN, Stream stream);
bool all_finite(const TensorView& a_MN, Allocator& allocator, Stream stream);
/// g = sum of `parts` contiguous matrices of g's shape and dtype, column-major, in their order, + beta g.
void add_parts(const void* matrices, std::int64_t parts, double beta, const TensorView& g_NN, Stream stream);
/// The lower triangle from the upper one.
void mirror_upper(const TensorView& g_NN, Stream stream);

}  // namespace panther::cuda
