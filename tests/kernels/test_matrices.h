#pragma once
// Matrices with known singular values, ranks or difficulties, for every factorization's tests.
#include <numbers>

#include "kernels/philox.h"
#include "tests/kernels/dense.h"

namespace panther::test {

/// Independent N(0, 1), by Box-Muller over Philox.
inline Dense gaussian_matrix(std::int64_t rows, std::int64_t columns, std::uint64_t seed) {
  Dense a(rows, columns);
  for (std::int64_t i = 0; i < rows * columns; ++i) {
    const PhiloxBlock block = philox({{static_cast<std::uint32_t>(i), static_cast<std::uint32_t>(i >> 32), 1, 98}}, PhiloxKey::from(seed));
    const double radius = std::sqrt(-2.0 * std::log((block.word[0] + 0.5) * 0x1p-32)), angle = 2.0 * std::numbers::pi * block.word[1] * 0x1p-32;
    a.values[static_cast<std::size_t>(i)] = radius * std::cos(angle);
  }
  return a;
}

/// Columns orthonormal to about 1e-15: modified Gram-Schmidt, twice, of a Gaussian matrix. rows >= columns.
inline Dense orthonormal_matrix(std::int64_t rows, std::int64_t columns, std::uint64_t seed) {
  Dense q = gaussian_matrix(rows, columns, seed);
  for (std::int64_t j = 0; j < columns; ++j) {
    double* v = q.column(j);
    for (int pass = 0; pass < 2; ++pass) {
      for (std::int64_t k = 0; k < j; ++k) {
        const double* u = q.column(k);
        double product = 0;
        for (std::int64_t i = 0; i < rows; ++i) product += u[i] * v[i];
        for (std::int64_t i = 0; i < rows; ++i) v[i] -= product * u[i];
      }
    }
    double sum = 0;
    for (std::int64_t i = 0; i < rows; ++i) sum += v[i] * v[i];
    for (std::int64_t i = 0; i < rows; ++i) v[i] /= std::sqrt(sum);
  }
  return q;
}

/// U diag(s) V^T with Haar U and V; s.size() <= min(rows, columns), so the rank is the number of nonzero s.
inline Dense matrix_with_singular_values(std::int64_t rows, std::int64_t columns, const std::vector<double>& s, std::uint64_t seed) {
  const auto rank = static_cast<std::int64_t>(s.size());
  Dense u = orthonormal_matrix(rows, rank, seed);
  const Dense v = orthonormal_matrix(columns, rank, seed + 0x9E3779B97F4A7C15u);
  for (std::int64_t j = 0; j < rank; ++j) {
    for (std::int64_t i = 0; i < rows; ++i) u(i, j) *= s[static_cast<std::size_t>(j)];
  }
  return multiply(u, transposed(v));
}

/// 2^-j, j = 0, 1, ...: fast decay.
inline std::vector<double> halving_spectrum(std::int64_t count) {
  std::vector<double> s(static_cast<std::size_t>(count));
  for (std::int64_t j = 0; j < count; ++j) s[static_cast<std::size_t>(j)] = std::exp2(-static_cast<double>(j));
  return s;
}

/// 1/(j + 1): slow decay.
inline std::vector<double> harmonic_spectrum(std::int64_t count) {
  std::vector<double> s(static_cast<std::size_t>(count));
  for (std::int64_t j = 0; j < count; ++j) s[static_cast<std::size_t>(j)] = 1.0 / static_cast<double>(j + 1);
  return s;
}

/// 1 for the first `rank`, then `floor`.
inline std::vector<double> step_spectrum(std::int64_t count, std::int64_t rank, double floor) {
  std::vector<double> s(static_cast<std::size_t>(count), floor);
  std::fill_n(s.begin(), rank, 1.0);
  return s;
}

/// From 1 to 1/condition with equal ratios.
inline std::vector<double> graded_spectrum(std::int64_t count, double condition) {
  std::vector<double> s(static_cast<std::size_t>(count), 1.0);
  for (std::int64_t j = 1; j < count; ++j) s[static_cast<std::size_t>(j)] = std::pow(condition, -static_cast<double>(j) / static_cast<double>(count - 1));
  return s;
}

/// Kahan's matrix diag(1, s, s^2, ...) (I - c * strict upper ones), s^2 + c^2 = 1: upper triangular, its columns keep their order under exact
/// column pivoting, and its smallest singular value is far below the last diagonal entry. A perturbation of 1e3 units in the last place,
/// falling along the columns, breaks the ties as LAPACK's testers do.
inline Dense kahan_matrix(std::int64_t n, double angle = 1.2) {
  Dense a(n, n);
  const double c = std::cos(angle), s = std::sin(angle);
  for (std::int64_t j = 0; j < n; ++j) {
    for (std::int64_t i = 0; i < j; ++i) a(i, j) = -c * std::pow(s, static_cast<double>(i));
    a(j, j) = std::pow(s, static_cast<double>(j)) * (1.0 + 1e3 * 0x1p-52 * static_cast<double>(n - j));
  }
  return a;
}

/// Orthonormal columns, of which `spikes` rows spread over the matrix are multiplied by `height`: high coherence, which a sketch that samples
/// coordinates misses.
inline Dense spiked_matrix(std::int64_t rows, std::int64_t columns, std::int64_t spikes, double height, std::uint64_t seed) {
  Dense a = orthonormal_matrix(rows, columns, seed);
  for (std::int64_t k = 0; k < spikes; ++k) {
    const std::int64_t row = k * rows / spikes;
    for (std::int64_t j = 0; j < columns; ++j) a(row, j) *= height;
  }
  return a;
}

/// Singular values of any matrix, descending, by one-sided Jacobi: slow, accurate to relative 1e-15 norm, and nobody else's code.
inline std::vector<double> jacobi_singular_values(Dense a) {
  if (a.rows < a.columns) a = transposed(a);
  const std::int64_t rows = a.rows;
  for (int sweep = 0; sweep < 40; ++sweep) {
    bool rotated = false;
    for (std::int64_t p = 0; p < a.columns; ++p) {
      for (std::int64_t q = p + 1; q < a.columns; ++q) {
        double *x = a.column(p), *y = a.column(q), xx = 0, yy = 0, xy = 0;
        for (std::int64_t i = 0; i < rows; ++i) xx += x[i] * x[i], yy += y[i] * y[i], xy += x[i] * y[i];
        if (std::abs(xy) <= 1e-16 * std::sqrt(xx * yy)) continue;
        rotated = true;
        const double zeta = (yy - xx) / (2 * xy), t = (zeta >= 0 ? 1.0 : -1.0) / (std::abs(zeta) + std::hypot(1.0, zeta));
        const double c = 1 / std::hypot(1.0, t), s = c * t;
        for (std::int64_t i = 0; i < rows; ++i) {
          const double u = x[i];
          x[i] = c * u - s * y[i];
          y[i] = s * u + c * y[i];
        }
      }
    }
    if (!rotated) break;
  }
  std::vector<double> values(static_cast<std::size_t>(a.columns));
  for (std::int64_t j = 0; j < a.columns; ++j) values[static_cast<std::size_t>(j)] = norm(block(a, 0, rows, j, 1));
  std::sort(values.rbegin(), values.rend());
  return values;
}

}  // namespace panther::test
