#pragma once
// Householder QR with column pivoting of a matrix that fits into the multiprocessors' shared memory, in one cooperative launch.
#include <span>

#include "kernels/allocator.h"
#include "kernels/stream.h"
#include "kernels/view.h"

namespace panther::cuda {

/// As LapackKernels::lead_pivots, whose arguments it takes checked. False, with nothing touched, where the matrix is too large for it. Waits.
/// Column norms are summed anew in every step, so pivots do not depend on a downdate's rounding; of equal norms the leftmost column wins. The same bits
/// on every device.
bool qr_pivoted_on_device(const TensorView& a_MN, const TensorView& tau_K, std::span<std::int64_t> pivots_N, Allocator& allocator, Stream stream);

}  // namespace panther::cuda
