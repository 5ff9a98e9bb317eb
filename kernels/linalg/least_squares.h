#pragma once
// min ||A x - b||^2 + ridge ||x||^2 for tall A by sketch-and-precondition: a small sketch's factor makes A's columns nearly orthonormal, and
// LSQR then needs about log(1/tolerance) steps whatever A's condition (Blendenpik, LSRN; Avron, Maymounkov, Toledo 2010; Meng, Saunders, Mahoney 2014).
#include <string>

#include "kernels/linalg/context.h"
#include "kernels/matrix.h"

namespace panther::linalg {

struct LeastSquaresOptions {
  double ridge = 0;            ///< lambda >= 0
  double tolerance = 0;        ///< on ||A^T r|| / (||A|| ||r||) of the preconditioned system; 0: 1e-14 in f64, 1e-6 in f32
  double rank_tolerance = 0;   ///< singular values below this times the largest count as 0; 0: max(M, N) u
  double oversampling = 4;     ///< sketch rows over N; condition of the preconditioned matrix <= (1 + 1/sqrt(g))/(1 - 1/sqrt(g)): 3 at g = 4
  int most_iterations = 200;   ///< per right-hand side
  std::string sketch = "gaussian";
};

struct LeastSquaresResult {
  Matrix x_NC;                 ///< the minimiser, of least norm where it is not unique; whole on every rank
  double relative_residual = 0;  ///< largest ||b - A x|| / ||b|| over right-hand sides, computed from A and x
  double gradient = 0;         ///< largest ||A^T (b - A x) - ridge x|| / (||A||_F (||A||_F ||x|| + ||b||)); rounding leaves about u
  double error_estimate = 0;   ///< largest ||x - x*|| / ||x||, estimated as the size of the last refinement
  std::int64_t rank = 0;       ///< numerical rank that the sketch shows
  bool minimum_norm = false;   ///< rank < N and ridge == 0: the minimum-norm path was taken
  bool reached_tolerance = true;
  int iterations = 0;          ///< most over right-hand sides
  int passes = 0;              ///< products with A or A^T, the sketch among them
};

/// a_MN: M >= N over all ranks (rows may be split; b_MC split alike), f32 or f64, any strides. Flops: sketch + 2 g N^3 + 4 M N per iteration. Throws
/// InvalidArgument for shapes, negative ridge, nan or inf; wide matrices (M < N): take x = A^T y from the transposed problem, or a ridge.
PANTHER_KERNELS_API LeastSquaresResult least_squares(const Context& context, const TensorView& a_MN, const TensorView& b_MC, const LeastSquaresOptions& options = {});

}  // namespace panther::linalg
