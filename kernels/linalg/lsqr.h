#pragma once
// LSQR (Paige, Saunders, ACM TOMS 8, 1982) on a preconditioned operator, for least_squares.
#include <cstdint>
#include <functional>
#include <vector>

namespace panther::linalg {

/// Vectors live on the host in f64: y has the preconditioner's size. The long vectors stay with the operator, which keeps u itself.
struct LsqrOperator {
  std::function<double()> normalize_u;  ///< u = u / ||u|| over all ranks; returns the norm (0: u = 0 stays)
  std::function<void(const std::vector<double>& v, double alpha)> advance_u;  ///< u = G v - alpha u
  std::function<std::vector<double>()> transpose_u;        ///< G^T u
  std::function<bool(bool)> any_rank;                      ///< whether any rank says so; an iteration more on one rank alone would wait for ever
};

struct LsqrOutcome {
  std::vector<double> y;
  int iterations = 0;
  bool converged = false;
  double last_step = 0;  ///< ||y_j - y_{j-1}||
  double norm = 0;       ///< ||y||
};

/// min ||G y - u0|| from y = 0, where u0 is what the operator's u holds. Stops at ||G^T r|| <= max(tolerance ||G|| ||r||, reduction ||G^T u0||) or at
/// ||r|| <= max(tolerance, reduction) ||u0||; a tolerance of 0 leaves the reduction alone.
LsqrOutcome lsqr(const LsqrOperator& g, std::int64_t size, double tolerance, double reduction, int most_iterations);

}  // namespace panther::linalg
