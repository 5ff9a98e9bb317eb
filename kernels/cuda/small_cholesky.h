#pragma once
// Cholesky of a matrix that fits into one block's registers, in one launch: cuSOLVER's takes a dozen for it.
#include <cstdint>

#include "kernels/allocator.h"
#include "kernels/stream.h"
#include "kernels/view.h"

namespace panther::cuda {

/// As LapackKernels::cholesky into `failed`; waits. False, with nothing touched, where the matrix is too large.
bool small_cholesky(const TensorView& a_NN, Allocator& allocator, Stream stream, std::int64_t& failed);

}  // namespace panther::cuda
