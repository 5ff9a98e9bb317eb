#pragma once
// Cholesky QR of a tall matrix that is well conditioned or nearly so: one Gram matrix, one triangle. When the Gram matrix is not positive
// definite to working precision, the shifted passes of Fukaya, Kannan, Nakatsukasa, Yamamoto, Yanagisawa, "Shifted Cholesky QR for computing the QR
// factorization of ill-conditioned matrices" (SIAM J. Sci. Comput. 42, 2020). Only sums of n x n matrices cross ranks.
//
// Legend: M local rows, K columns.
#include "kernels/linalg/blocks.h"

namespace panther::linalg {

struct CholeskyQr {
  Matrix r_KK;           ///< f64, upper triangle with zeros below: the input is Q r
  std::int64_t rank = 0;  ///< K, or less: the leading columns that Q holds
  int passes = 1;        ///< Gram matrices computed
  bool shifted = false;  ///< the first Gram matrix was not positive definite
};

/// q_MK becomes Q (its first `rank` columns; the others are left as they are not defined). The Gram matrix is f64 also for f32.
/// A pass is repeated when the diagonal of its factor spreads so far that orthogonality would suffer (u cond^2 > u^0.75).
CholeskyQr cholesky_qr(const Context& context, const TensorView& q_MK);

}  // namespace panther::linalg
