#pragma once
// What every QR with pivoting must fulfil, from residuals and textbook arithmetic.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <numeric>

#include "kernels/kernel_set.h"
#include "kernels/linalg/lapack_kernels.h"
#include "tests/kernels/test_matrices.h"

namespace panther::test {

/// Of RandLAPACK's tests: u^0.75 in f64 and u^0.6 in f32.
inline double qr_tolerance(DType dtype) { return dtype == DType::f64 ? std::pow(0x1p-53, 0.75) : std::pow(0x1p-24, 0.6); }

inline void expect_permutation(std::span<const std::int64_t> pivots, std::int64_t size) {
  std::vector<std::int64_t> all(static_cast<std::size_t>(size));
  std::iota(all.begin(), all.end(), 0);
  EXPECT_THAT(std::vector<std::int64_t>(pivots.begin(), pivots.end()), testing::UnorderedElementsAreArray(all));
}

/// ||A P - Q R|| <= tol ||A|| (with `dropped` more for what a rank cut leaves out), the worst column, and ||Q^T Q - I|| <= tol sqrt(k).
inline void expect_qr(const Dense& a, std::span<const std::int64_t> pivots, const Dense& q, const Dense& r, DType dtype, double dropped = 0) {
  const double tolerance = qr_tolerance(dtype);
  expect_permutation(pivots, a.columns);
  const Dense difference = subtract(take_columns(a, pivots), multiply(q, r));
  EXPECT_LE(norm(difference), tolerance * norm(a) + dropped);
  EXPECT_LE(orthogonality(q), tolerance * std::sqrt(static_cast<double>(std::max<std::int64_t>(q.columns, 1))));
  EXPECT_EQ(upper_triangle(r).values, r.values) << "R is not zero below its diagonal";
}

/// The diagonal of GEQP3's R.
inline std::vector<double> geqp3_diagonal(const Dense& a, DType dtype) {
  const Matrix copy = matrix_of(a, dtype), tau = matrix_of(Dense(std::min(a.rows, a.columns), 1), dtype);
  std::vector<std::int64_t> pivots(static_cast<std::size_t>(a.columns));
  cpu_kernels().lapack->qr_pivoted(copy.view(), tau.view(), pivots, plain_allocator(), {});
  std::vector<double> entries;
  for (std::int64_t i = 0; i < tau.rows(); ++i) entries.push_back(std::abs(dense_of(copy.block(i, 1, i, 1))(0, 0)));
  return entries;
}

/// |R_ii| within [1/10, 10] of GEQP3's for the first `rank` pivots, whose entries are above rounding.
inline void expect_pivot_quality(const Dense& r, const std::vector<double>& reference, std::int64_t rank, DType dtype) {
  const double noise = 100 * unit_roundoff(dtype) * reference.front();
  for (std::int64_t i = 0; i < rank; ++i) {
    const double theirs = reference[static_cast<std::size_t>(i)];
    if (theirs < noise) continue;
    EXPECT_GT(std::abs(r(i, i)) / theirs, 0.1) << "pivot " << i << " of " << rank;
    EXPECT_LT(std::abs(r(i, i)) / theirs, 10) << "pivot " << i << " of " << rank;
  }
}

struct Named {
  std::string name;
  Dense matrix;
  std::int64_t rank = 0;     ///< numerical, in both dtypes
  double dropped = 0;        ///< what lies below the rank
};

/// Difficult matrices of one shape (rows >= columns), with their ranks.
inline std::vector<Named> difficult_matrices(std::int64_t m, std::int64_t n, DType dtype) {
  const double worst = dtype == DType::f64 ? 1e12 : 1e4;
  std::vector<Named> all;
  all.push_back({"gaussian", gaussian_matrix(m, n, 1), n});
  all.push_back({"rank deficient", matrix_with_singular_values(m, n, harmonic_spectrum(n / 3), 2), n / 3});
  all.push_back({"rank one", matrix_with_singular_values(m, n, {3.0}, 3), 1});
  all.push_back({"spiked", spiked_matrix(m, n, 5, 1e3, 4), n});
  for (const double condition : {1e1, 1e2, 1e4, 1e6, 1e8, 1e10, 1e12}) {
    if (condition <= worst) all.push_back({concat("graded ", condition), matrix_with_singular_values(m, n, graded_spectrum(n, condition), 5), n});
  }
  all.push_back({"scaled up", scaled(gaussian_matrix(m, n, 6), 1e8), n});
  all.push_back({"scaled down", scaled(gaussian_matrix(m, n, 7), 1e-8), n});
  Dense ones(m, n);
  std::fill(ones.values.begin(), ones.values.end(), 1.0);
  all.push_back({"ones", ones, 1});
  Dense columns = gaussian_matrix(m, n, 8);  // column norms over six orders, in no order
  for (std::int64_t j = 0; j < n; ++j) {
    for (std::int64_t i = 0; i < m; ++i) columns(i, j) *= std::pow(10.0, -static_cast<double>((j * 7) % n) * 4 / static_cast<double>(n));
  }
  all.push_back({"unequal columns", columns, n});
  return all;
}

}  // namespace panther::test
