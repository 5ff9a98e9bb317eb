#pragma once
// What a thin QR achieved, estimated with a few random vectors: unbiased for the squared Frobenius norms, three passes over memory.
#include <span>

#include "kernels/linalg/context.h"
#include "kernels/linalg/qr_quality.h"

namespace panther::linalg {

/// Legend: M local rows, N columns, K rank. `pivots` may be empty: A = Q R.
QrQuality estimate_quality(const Context& context, const TensorView& a_MN, std::span<const std::int64_t> pivots, const TensorView& q_MK,
                           const TensorView& r_KN);

}  // namespace panther::linalg
