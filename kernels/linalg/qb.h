#pragma once
// A ~ Q B with orthonormal Q, block by block until a rank or a tolerance is reached (randQB_EI, Yu, Gu, Li, arXiv 1606.09402).
#include <string>
#include <vector>

#include "kernels/linalg/arithmetic.h"
#include "kernels/linalg/svd_result.h"

namespace panther::linalg {

struct QbOptions {
  std::int64_t rank = 0;        ///< most columns of Q; 0: min(M, N), needs a tolerance
  double tolerance = 0;         ///< on ||A - QB||_F / ||A||_F; 0: exactly `rank` columns
  std::int64_t block = 32;      ///< columns per step
  int power_iterations = 1;     ///< per block
  std::string sketch = "gaussian";
  bool trim = true;             ///< drop trailing columns that the tolerance does not need; whoever truncates an SVD afterwards does not want it
};

struct QbResult {
  Matrix q_MK;   ///< split as A's rows are
  Matrix bt_NK;  ///< B^T = A^T Q
  double norm = 0;            ///< ||A||_F
  double relative_error = 0;  ///< ||A - QB||_F / ||A||_F
  double error_floor = 0;
  ErrorKind error_kind = ErrorKind::indicator;
  bool reached_tolerance = true;
  int blocks = 0;
  int passes = 0;
  std::int64_t rank() const noexcept { return bt_NK.columns(); }
};

/// The indicator ||A||^2 - ||B||^2 decides while it can: above 10 sqrt(2u) of ||A|| (1.5e-7 in f64, 3.5e-3 in f32). Below, every block pays for the
/// explicit residual (2 M N K flops), until the tolerance is met, the rank is used up or a block no longer helps (reached_tolerance == false).
/// The decision is taken on sums over all ranks, hence equal on every rank. Throws as rsvd does.
PANTHER_KERNELS_API QbResult qb(const Context& context, const TensorView& a_MN, const QbOptions& options);

/// The SVD of Q bt^T truncated to `rank` into result's u, s, v; relative_error becomes sqrt of the sum of the kept s^2. Returns all s.
PANTHER_KERNELS_API std::vector<double> truncate_qb(const Arithmetic& maths, const TensorView& q_MK, const TensorView& bt_NK, std::int64_t rank, SvdResult& result);

}  // namespace panther::linalg
