#pragma once
// Truncated SVD to a wanted accuracy of every triplet, by block Krylov iteration of any block size (arXiv 2508.06486).
#include <string>
#include <vector>

#include "kernels/linalg/context.h"
#include "kernels/linalg/svd_result.h"

namespace panther::linalg {

struct KrylovOptions {
  std::int64_t rank = 0;       ///< k
  std::int64_t block = 0;      ///< 0: min(k, 32). A singular value of multiplicity above the block is found only as often as rounding helps.
  double tolerance = 1e-6;     ///< on every ||A^T u_i - s_i v_i|| / s_1
  int most_steps = 64;         ///< of two products with `block` columns each
  std::string sketch = "gaussian";
};

struct KrylovResult : SvdResult {
  std::vector<double> residuals;  ///< ||A^T u_i - s_i v_i||, i < k; A v_i = s_i u_i holds to rounding
};

/// Stops when all k residuals are within the tolerance (reached_tolerance), the steps are used up, or the Krylov space is the whole one.
/// Memory grows by (M + N) block per step. Throws as rsvd does.
PANTHER_KERNELS_API KrylovResult krylov_svd(const Context& context, const TensorView& a_MN, const KrylovOptions& options);

}  // namespace panther::linalg
