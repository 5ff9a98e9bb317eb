#pragma once
// Positive semidefinite matrices from one product with a random test matrix.
#include <string>

#include "kernels/linalg/context.h"
#include "kernels/matrix.h"

namespace panther::linalg {

struct NystromOptions {
  std::int64_t rank = 0;           ///< k
  std::int64_t oversampling = 10;
  int power_iterations = 0;        ///< products with A before the last one
  std::string sketch = "gaussian";
};

struct EigenResult {
  Matrix vectors_MK;  ///< orthonormal columns; split as the input's rows are
  Matrix values_K;    ///< descending (nystrom), or by descending magnitude (eigsh)
  double relative_error = 0;  ///< nystrom: trace(A - A_k) / trace(A), the relative nuclear norm of the error; eigsh: largest ||A v - w v|| / |w_1|
  double error_floor = 0;
  bool reached_tolerance = true;
  int iterations = 0;
  int passes = 0;
};

/// A ~ V diag(w) V^T = Y (Omega^T Y)^-1 Y^T, Y = A Omega, with the shift sqrt(n) u ||Y|| that keeps the Cholesky factor (Tropp, Yurtsever, Udell,
/// Cevher, arXiv 1706.05736, algorithm 3). Exact up to rounding when rank(A) <= k + oversampling. a: symmetric, f32 or f64; this rank's rows of n
/// x n when split. Throws InvalidArgument when A is not symmetric (a random probe says so) or not positive semidefinite as far as its
/// diagonal, its compression Omega^T A Omega and the error's trace can tell; and as rsvd does.
PANTHER_KERNELS_API EigenResult nystrom(const Context& context, const TensorView& a_NN, const NystromOptions& options);

}  // namespace panther::linalg
