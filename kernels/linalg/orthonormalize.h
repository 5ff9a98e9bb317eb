#pragma once
// Orthonormal bases of tall matrices whose rows may be split over ranks.
//
// Cholesky QR, repeated until the columns it was given were nearly orthonormal (Yamamoto et al., "Roundoff error analysis of the CholeskyQR2
// algorithm", ETNA 44, 2015), with the Gram matrix in f64 also for f32. Where the Gram matrix says too little (columns dependent to about
// 1e-6), the triangle of a small Gaussian sketch preconditions first (rand_cholQR, arXiv 2309.05868), in f64; columns that are dependent
// to rounding give way to random ones, so the result is orthonormal whatever comes in.
//
// Messages when split: one L x L sum per pass, one 2L x L sum more when preconditioned.
#include <cstdint>

#include "kernels/linalg/context.h"
#include "kernels/matrix.h"

namespace panther::linalg {

enum class Orthonormality : std::uint8_t {
  full,   ///< to working precision
  nearly  ///< to three digits, which one pass gives most matrices: enough between the products of a power iteration, whose span is all that counts
};

struct Orthonormalized {
  int passes = 0;                ///< Cholesky QR passes
  bool preconditioned = false;
  std::int64_t replaced = 0;     ///< columns dependent on those before them
};

/// y_ML (column-major, f32 or f64, L <= total rows) becomes Q with orthonormal columns over all ranks. r_LL (L x L, y's dtype; may be empty)
/// becomes Q^T y: upper triangular but for rounding, zeros below the diagonal.
PANTHER_KERNELS_API Orthonormalized orthonormalize(const Context& context, const TensorView& y_ML, const TensorView& r_LL = {},
                                                   Orthonormality wanted = Orthonormality::full);

/// y becomes Q, orthonormal and orthogonal to basis_MK (orthonormal), with y = basis coefficients_KL + Q r_LL; K + L <= total rows.
/// coefficients and r may be empty.
PANTHER_KERNELS_API Orthonormalized orthonormalize_against(const Context& context, const TensorView& basis_MK, const TensorView& y_ML,
                                                           const TensorView& coefficients_KL = {}, const TensorView& r_LL = {});

}  // namespace panther::linalg
