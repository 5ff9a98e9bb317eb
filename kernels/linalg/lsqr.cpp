#include "kernels/linalg/lsqr.h"

#include <algorithm>
#include <cmath>

namespace panther::linalg {
namespace {

double normalize(std::vector<double>& v) {
  double square = 0;
  for (const double value : v) square += value * value;
  const double norm = std::sqrt(square);
  if (norm > 0) {
    for (double& value : v) value /= norm;
  }
  return norm;
}

}  // namespace

LsqrOutcome lsqr(const LsqrOperator& g, std::int64_t size, double tolerance, double reduction, int most_iterations) {
  LsqrOutcome out;
  out.y.assign(static_cast<std::size_t>(size), 0.0);
  const double beta0 = g.normalize_u();
  std::vector<double> v = g.transpose_u();
  double alpha = normalize(v);
  const double gradient0 = alpha * beta0;
  double phi = beta0, rho = alpha, square_norm = alpha * alpha;
  std::vector<double> w = v;
  if (beta0 == 0 || alpha == 0) {
    out.converged = true;
    return out;
  }
  while (out.iterations < most_iterations) {
    ++out.iterations;
    g.advance_u(v, alpha);
    const double beta = g.normalize_u();
    std::vector<double> next = g.transpose_u();
    for (std::size_t i = 0; i < v.size(); ++i) next[i] -= beta * v[i];
    v = std::move(next);
    alpha = normalize(v);
    square_norm += alpha * alpha + beta * beta;
    const double rotated = std::hypot(rho, beta), c = rho / rotated, s = beta / rotated, theta = s * alpha, step = c * phi / rotated;
    rho = -c * alpha;
    phi = s * phi;
    double square = 0, y_square = 0;
    for (std::size_t i = 0; i < w.size(); ++i) {
      out.y[i] += step * w[i];
      square += w[i] * w[i];
      y_square += out.y[i] * out.y[i];
      w[i] = v[i] - theta / rotated * w[i];
    }
    out.last_step = std::abs(step) * std::sqrt(square);
    out.norm = std::sqrt(y_square);
    const double gradient = std::abs(phi * alpha * c);
    const bool small = phi <= std::max(tolerance, reduction) * beta0;
    if (g.any_rank(small || gradient <= std::max(tolerance * std::sqrt(square_norm) * phi, reduction * gradient0))) {
      out.converged = true;
      break;
    }
  }
  return out;
}

}  // namespace panther::linalg
