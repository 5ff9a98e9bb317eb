#include "kernels/linalg/nystrom.h"

#include <gtest/gtest.h>

#include "core/error.h"
#include "kernels/linalg/eigsh.h"
#include "tests/kernels/linalg_fixture.h"

namespace panther::test {
namespace {

using linalg::EigenResult;
using linalg::eigsh;
using linalg::EigshOptions;
using linalg::nystrom;
using linalg::NystromOptions;

/// V diag(w) V^T with Haar V.
Dense symmetric_matrix(std::int64_t n, const std::vector<double>& w, std::uint64_t seed) {
  const Dense v = orthonormal_matrix(n, static_cast<std::int64_t>(w.size()), seed);
  Dense left = v;
  for (std::int64_t j = 0; j < left.columns; ++j) {
    for (std::int64_t i = 0; i < n; ++i) left(i, j) *= w[static_cast<std::size_t>(j)];
  }
  Dense a = multiply(left, transposed(v));
  for (std::int64_t j = 0; j < n; ++j) {
    for (std::int64_t i = 0; i < j; ++i) a(i, j) = a(j, i);
  }
  return a;
}

Dense rebuilt(const EigenResult& result) { return compose(result.vectors_MK.view(), result.values_K.view(), result.vectors_MK.view()); }

template <class Body>
void expect_invalid(Body&& body, const char* part) {
  try {
    body();
    FAIL() << part;
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::InvalidArgument);
    EXPECT_NE(error.message().find(part), std::string::npos) << error.message();
  }
}

TEST(Nystrom, IsExactWhenTheRankFits) {
  const Dense a = symmetric_matrix(60, graded_spectrum(7, 100), 3);
  for (const auto& [dtype, tolerance] : {std::pair{DType::f64, 1e-10}, std::pair{DType::f32, 1e-4}}) {
    const Matrix input = matrix_of(a, dtype);
    const EigenResult result = nystrom(seeded(2), input.view(), {.rank = 7});
    EXPECT_LE(norm(subtract(a, rebuilt(result))), tolerance * norm(a));
    EXPECT_LE(orthogonality(dense_of(result.vectors_MK.view())), 1e3 * unit_roundoff(dtype));
  }
}

// Tropp, Webber (arXiv 2306.12418): E trace(A - A_l) <= (1 + k/(p - 1)) trace(A - [A]_k); here for the untruncated l = k + p.
TEST(Nystrom, MeanErrorStaysBelowTheBoundAndIsTheOneReported) {
  const std::vector<double> w = harmonic_spectrum(50);
  const Dense a = symmetric_matrix(50, w, 3);
  const Matrix input = matrix_of(a, DType::f64);
  double mean = 0, beyond = 0, trace = 0;
  for (std::size_t j = 0; j < w.size(); ++j) trace += w[j], beyond += j >= 8 ? w[j] : 0;
  for (std::uint64_t seed = 0; seed < 30; ++seed) {
    const EigenResult result = nystrom(seeded(seed), input.view(), {.rank = 13, .oversampling = 0});
    const Dense rest = subtract(a, rebuilt(result));
    double error = 0;
    for (std::int64_t i = 0; i < 50; ++i) error += rest(i, i);
    EXPECT_NEAR(result.relative_error, error / trace, 1e-10);
    mean += error / 30;
  }
  EXPECT_LE(mean, (1 + 8.0 / 4.0) * beyond);
}

TEST(Nystrom, IndefiniteAndUnsymmetricMatricesAreRefused) {
  const Matrix indefinite = matrix_of(symmetric_matrix(30, {3, 2, 1, -2.5}, 4), DType::f64);
  expect_invalid([&] { nystrom(seeded(1), indefinite.view(), {.rank = 4}); }, "not positive semidefinite");
  Dense negative = symmetric_matrix(30, {3, 2, 1}, 4);
  negative(11, 11) = -1;
  const Matrix diagonal = matrix_of(negative, DType::f64);
  expect_invalid([&] { nystrom(seeded(1), diagonal.view(), {.rank = 4}); }, "not positive semidefinite");
  const Matrix general = matrix_of(gaussian_matrix(20, 20, 4), DType::f64);
  expect_invalid([&] { nystrom(seeded(1), general.view(), {.rank = 4}); }, "not symmetric");
  const Matrix wide = matrix_of(gaussian_matrix(20, 21, 4), DType::f64);
  expect_invalid([&] { nystrom(seeded(1), wide.view(), {.rank = 4}); }, "square");
  const Matrix good = matrix_of(symmetric_matrix(10, {3, 2, 1}, 4), DType::f64);
  expect_invalid([&] { nystrom(seeded(1), good.view(), {.rank = 0}); }, "rank 0");
  expect_invalid([&] { nystrom(seeded(1), good.view(), {.rank = 11}); }, "rank 11");
}

TEST(Nystrom, TakesZeroTinyAndScaledMatrices) {
  for (const double scale : {0.0, 1e-8, 1.0, 1e8}) {
    for (const std::int64_t n : {1, 2, 9}) {
      const Dense a = scaled(symmetric_matrix(n, {2.0}, 4), scale);
      const Matrix input = matrix_of(a, DType::f64);
      const EigenResult result = nystrom(seeded(1), input.view(), {.rank = 1});
      EXPECT_NEAR(dense_of(result.values_K.view())(0, 0), 2 * scale, 1e-12 * scale);
    }
  }
}

TEST(Nystrom, GivesTheSameOnAnyNumberOfRanks) {
  const Dense a = symmetric_matrix(37, harmonic_spectrum(37), 3);
  const Matrix input = matrix_of(a, DType::f64);
  const Dense expected = rebuilt(nystrom(seeded(6), input.view(), {.rank = 5})), eigen = rebuilt(eigsh(seeded(6), input.view(), {.rank = 3}));
  for (const int ranks : {1, 2, 3, 4, 8}) {
    on_ranks(ranks, 37, 6, [&](const linalg::Context& context, int rank) {
      const auto [first, rows] = share_of(37, ranks, rank);
      const Matrix mine = matrix_of(block(a, first, rows, 0, 37), DType::f64);
      const EigenResult part = nystrom(context, mine.view(), {.rank = 5});
      EXPECT_EQ(part.vectors_MK.rows(), rows);
      const Dense values = dense_of(part.values_K.view()), v = dense_of(part.vectors_MK.view());
      for (std::int64_t i = 0; i < rows; ++i) {
        double diagonal = 0;
        for (std::int64_t k = 0; k < 5; ++k) diagonal += v(i, k) * values(k, 0) * v(i, k);
        EXPECT_NEAR(diagonal, expected(first + i, first + i), 1e-11);
      }
      const EigenResult leading = eigsh(context, mine.view(), {.rank = 3});
      const Dense w = dense_of(leading.values_K.view()), z = dense_of(leading.vectors_MK.view());
      for (std::int64_t i = 0; i < rows; ++i) {
        double diagonal = 0;
        for (std::int64_t k = 0; k < 3; ++k) diagonal += z(i, k) * w(k, 0) * z(i, k);
        EXPECT_NEAR(diagonal, eigen(first + i, first + i), 1e-7);
      }
    });
  }
}

TEST(Eigsh, FindsTheLargestMagnitudesOfAnIndefiniteMatrix) {
  std::vector<double> w;
  for (int j = 0; j < 80; ++j) w.push_back((j % 2 == 0 ? 1.0 : -1.0) / (1.0 + j));
  const Dense a = symmetric_matrix(80, w, 17);
  for (const auto& [dtype, tolerance] : {std::pair{DType::f64, 1e-9}, std::pair{DType::f32, 1e-5}}) {
    const Matrix input = matrix_of(a, dtype);
    const EigenResult result = eigsh(seeded(3), input.view(), {.rank = 6, .tolerance = tolerance});
    EXPECT_TRUE(result.reached_tolerance);
    const Dense values = dense_of(result.values_K.view()), v = dense_of(result.vectors_MK.view());
    for (std::int64_t i = 0; i < 6; ++i) EXPECT_NEAR(values(i, 0), w[static_cast<std::size_t>(i)], 10 * tolerance);
    double largest = 0;
    for (std::int64_t i = 0; i < 6; ++i) largest = std::max(largest, norm(subtract(multiply(a, block(v, 0, 80, i, 1)), scaled(block(v, 0, 80, i, 1), values(i, 0)))));
    EXPECT_LE(largest, 2 * tolerance);
    EXPECT_NEAR(result.relative_error, largest, 0.1 * tolerance + 20 * unit_roundoff(dtype));
  }
}

TEST(Eigsh, HoldsOn200RandomShapes) {
  for (std::uint64_t trial = 0; trial < 200; ++trial) {
    const std::int64_t n = 1 + static_cast<std::int64_t>(trial % 29), k = 1 + static_cast<std::int64_t>(trial % 3) % n;
    const Dense g = gaussian_matrix(n, n, trial);
    Dense a = g;
    for (std::int64_t i = 0; i < n; ++i) {
      for (std::int64_t j = 0; j < n; ++j) a(i, j) = (g(i, j) + g(j, i)) / 2;
    }
    const Matrix input = matrix_of(a, DType::f64);
    const EigenResult result = eigsh(seeded(trial), input.view(), {.rank = k});
    const std::vector<double> s = jacobi_singular_values(a);
    const Dense values = dense_of(result.values_K.view());
    for (std::int64_t i = 0; i < k; ++i) EXPECT_NEAR(std::abs(values(i, 0)), s[static_cast<std::size_t>(i)], 1e-7 * s[0]) << n << " " << k;
    EXPECT_TRUE(result.reached_tolerance);
  }
}

TEST(Eigsh, ArgumentsAreChecked) {
  const Matrix good = matrix_of(symmetric_matrix(10, {3, 2, 1}, 4), DType::f64);
  EXPECT_THROW(eigsh(seeded(1), good.view(), {.rank = 0}), Error);
  EXPECT_THROW(eigsh(seeded(1), good.view(), {.rank = 11}), Error);
  EXPECT_THROW(eigsh(seeded(1), good.view(), {.rank = 1, .tolerance = 0}), Error);
  const EigenResult short_run = eigsh(seeded(1), matrix_of(symmetric_matrix(60, harmonic_spectrum(60), 1), DType::f64).view(),
                                      {.rank = 2, .block = 2, .tolerance = 1e-12, .most_steps = 2});
  EXPECT_FALSE(short_run.reached_tolerance);
  EXPECT_EQ(short_run.iterations, 2);
}

}  // namespace
}  // namespace panther::test
