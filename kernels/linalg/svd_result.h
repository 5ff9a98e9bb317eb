#pragma once
// What every approximate SVD returns.
#include <cstdint>

#include "kernels/matrix.h"

namespace panther::linalg {

/// How relative_error was come by.
enum class ErrorKind : std::uint8_t {
  indicator,  ///< sqrt(||A||^2 - sum s^2) / ||A||: exact for an orthonormal basis, but blind below error_floor
  residual,   ///< ||A - U S V^T|| / ||A|| computed entry by entry
  sampled,    ///< from a random test sketch: unbiased, with a relative standard deviation of about 1/sqrt(2 samples)
};

struct SvdResult {
  Matrix u_MK;   ///< split over ranks as the input's rows are
  Matrix s_K;    ///< descending, >= 0
  Matrix v_NK;   ///< A ~ u diag(s) v^T
  double relative_error = 0;  ///< estimate of ||A - U S V^T||_F / ||A||_F
  double error_floor = 0;     ///< errors below cannot be told from rounding by this kind of estimate
  ErrorKind error_kind = ErrorKind::indicator;
  bool reached_tolerance = true;  ///< false: a tolerance was asked for and the estimate stayed above it (rank limit, or below rounding)
  int iterations = 0;             ///< power or Krylov steps, or QB blocks
  int passes = 0;                 ///< products with A or A^T over its whole

  std::int64_t rank() const noexcept { return v_NK.columns(); }
};

}  // namespace panther::linalg
