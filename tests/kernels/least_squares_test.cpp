#include "kernels/linalg/least_squares.h"

#include <gtest/gtest.h>

#include "core/error.h"
#include "kernels/linalg/estimators.h"
#include "kernels/linalg/lapack_kernels.h"
#include "tests/kernels/linalg_fixture.h"

namespace panther::test {
namespace {

using linalg::least_squares;
using linalg::LeastSquaresOptions;
using linalg::LeastSquaresResult;

LeastSquaresResult solve(const Dense& a, const Dense& b, const LeastSquaresOptions& options = {}, DType dtype = DType::f64) {
  const Matrix left = matrix_of(a, dtype), right = matrix_of(b, dtype);
  return least_squares(seeded(3), left.view(), right.view(), options);
}

/// Householder QR of LAPACK, in f64.
Dense lapack_solution(const Dense& a, const Dense& b) {
  const LapackKernels& lapack = *cpu_kernels().lapack;
  const Matrix factored = matrix_of(a, DType::f64), right = matrix_of(b, DType::f64), tau = matrix_of(Dense(a.columns, 1), DType::f64);
  lapack.qr(factored.view(), tau.column(0), plain_allocator(), {});
  lapack.multiply_q(true, factored.view(), tau.column(0), right.view(), plain_allocator(), {});
  const TensorView x = right.block(0, a.columns, 0, b.columns);
  lapack.solve_upper(Side::left, false, 1, factored.block(0, a.columns, 0, a.columns), x, plain_allocator(), {});
  return dense_of(x);
}

/// V diag(f(s)) U^T b for A = U diag(s) V^T.
template <class Filter>
Dense filtered_solution(std::int64_t m, std::int64_t n, const std::vector<double>& s, std::uint64_t seed, const Dense& b, Filter&& filter) {
  const auto rank = static_cast<std::int64_t>(s.size());
  Dense coordinates = multiply_transposed(orthonormal_matrix(m, rank, seed), b);
  for (std::int64_t c = 0; c < coordinates.columns; ++c) {
    for (std::int64_t i = 0; i < rank; ++i) coordinates(i, c) *= filter(s[static_cast<std::size_t>(i)]);
  }
  return multiply(orthonormal_matrix(n, rank, seed + 0x9E3779B97F4A7C15u), coordinates);
}

// Wedin: ||dx|| / ||x|| <= u kappa (1 + kappa tan) up to a modest factor, the same for LAPACK.
TEST(LeastSquares, AgreesWithLapackForEveryCondition) {
  for (const double condition : {1.0, 1e3, 1e6, 1e10}) {
    for (const double noise : {0.0, 1e-6, 1.0}) {
      const Dense a = matrix_with_singular_values(300, 20, graded_spectrum(20, condition), 7);
      Dense b = multiply(a, gaussian_matrix(20, 2, 5));
      const Dense e = gaussian_matrix(300, 2, 6);
      for (std::size_t i = 0; i < b.values.size(); ++i) b.values[i] += noise * e.values[i];
      const LeastSquaresResult result = solve(a, b);
      const Dense x = dense_of(result.x_NC.view()), reference = lapack_solution(a, b);
      const double slope = norm(subtract(multiply(a, reference), b)) / (norm(a) * norm(reference));
      EXPECT_LE(norm(subtract(x, reference)), 200 * 0x1p-53 * condition * (1 + condition * slope) * norm(reference)) << condition << " " << noise;
      EXPECT_LE(norm(subtract(multiply(a, x), b)), norm(subtract(multiply(a, reference), b)) * (1 + 1e-9) + 1e-13 * norm(b)) << condition << " " << noise;
      EXPECT_TRUE(result.reached_tolerance);
      EXPECT_EQ(result.rank, 20);
      EXPECT_FALSE(result.minimum_norm);
      EXPECT_LE(result.gradient, 1e-14);
      EXPECT_LE(result.iterations, 120);  // independent of the condition
    }
  }
}

TEST(LeastSquares, F32ReachesItsRounding) {
  const Dense a = rounded(matrix_with_singular_values(200, 15, graded_spectrum(15, 100), 7), DType::f32);
  Dense b = rounded(multiply(a, gaussian_matrix(15, 1, 5)), DType::f32);
  const LeastSquaresResult result = solve(a, b, {}, DType::f32);
  const Dense reference = lapack_solution(a, b);
  EXPECT_LE(norm(subtract(dense_of(result.x_NC.view()), reference)), 20 * 0x1p-24 * 100 * norm(reference));
  EXPECT_TRUE(result.reached_tolerance);
}

TEST(LeastSquares, RankDeficientMatricesGetTheLeastNorm) {
  const std::vector<double> s = graded_spectrum(9, 50);
  const Dense a = matrix_with_singular_values(120, 16, s, 11), b = gaussian_matrix(120, 1, 2);
  const LeastSquaresResult result = solve(a, b);
  const Dense expected = filtered_solution(120, 16, s, 11, b, [](double value) { return 1 / value; });
  EXPECT_TRUE(result.minimum_norm);
  EXPECT_EQ(result.rank, 9);
  EXPECT_LE(norm(subtract(dense_of(result.x_NC.view()), expected)), 1e-10 * norm(expected));
}

TEST(LeastSquares, RidgeFollowsItsClosedForm) {
  const std::vector<double> s = graded_spectrum(12, 1e4);
  for (const double ridge : {1e-6, 1e-2, 10.0}) {
    for (const std::int64_t m : {150, 12}) {
      const Dense a = matrix_with_singular_values(m, 12, s, 11), b = gaussian_matrix(m, 1, 2);
      LeastSquaresOptions options;
      options.ridge = ridge;
      const Dense expected = filtered_solution(m, 12, s, 11, b, [&](double value) { return value / (value * value + ridge); });
      EXPECT_LE(norm(subtract(dense_of(solve(a, b, options).x_NC.view()), expected)), 1e-9 * norm(expected)) << ridge << " " << m;
    }
  }
}

TEST(LeastSquares, ResidualIsTheTrueOne) {
  const Dense a = gaussian_matrix(60, 8, 1), b = gaussian_matrix(60, 1, 2);
  const LeastSquaresResult result = solve(a, b);
  const Dense x = dense_of(result.x_NC.view());
  EXPECT_NEAR(result.relative_residual, norm(subtract(multiply(a, x), b)) / norm(b), 1e-13);
  EXPECT_LE(result.error_estimate, 1e-12);
}

TEST(LeastSquares, HoldsOn200RandomShapesAndScales) {
  for (std::uint64_t trial = 0; trial < 200; ++trial) {
    const auto pick = [&](std::uint64_t what, std::int64_t most) { return 1 + static_cast<std::int64_t>((random_value(trial, what) + 1) / 2 * static_cast<double>(most)); };
    const std::int64_t n = pick(0, 12), m = n + pick(1, 80) - 1;
    const double scale = std::pow(10.0, static_cast<double>(pick(2, 17) - 9));
    const Dense a = scaled(gaussian_matrix(m, n, trial), scale), b = gaussian_matrix(m, pick(3, 3), trial + 1000);
    const LeastSquaresResult result = solve(a, b);
    const Dense x = dense_of(result.x_NC.view()), gradient = multiply_transposed(a, subtract(multiply(a, x), b));
    EXPECT_LE(norm(gradient), 1e-12 * norm(a) * std::max(norm(b), norm(a) * norm(x))) << m << "x" << n << " " << scale;
  }
}

TEST(LeastSquares, GivesTheSameOnAnyNumberOfRanks) {
  const Dense a = matrix_with_singular_values(97, 6, graded_spectrum(6, 1e3), 7), b = gaussian_matrix(97, 2, 3);
  const Dense whole = dense_of(solve(a, b).x_NC.view());
  for (const int ranks : {1, 2, 3, 4, 8}) {
    on_ranks(ranks, 97, 3, [&](const linalg::Context& context, int rank) {
      const auto [first, rows] = share_of(97, ranks, rank);
      const Matrix left = matrix_of(block(a, first, rows, 0, 6), DType::f64), right = matrix_of(block(b, first, rows, 0, 2), DType::f64);
      const LeastSquaresResult part = least_squares(context, left.view(), right.view());
      EXPECT_LE(norm(subtract(dense_of(part.x_NC.view()), whole)), 1e-9 * norm(whole)) << ranks;
    });
  }
}

TEST(LeastSquares, ArgumentsAreChecked) {
  EXPECT_THROW(solve(gaussian_matrix(4, 6, 1), gaussian_matrix(4, 1, 2)), Error);
  EXPECT_THROW(solve(gaussian_matrix(6, 4, 1), gaussian_matrix(5, 1, 2)), Error);
  LeastSquaresOptions negative;
  negative.ridge = -1;
  EXPECT_THROW(solve(gaussian_matrix(6, 4, 1), gaussian_matrix(6, 1, 2), negative), Error);
  Dense bad = gaussian_matrix(6, 1, 2);
  bad(3, 0) = std::numeric_limits<double>::quiet_NaN();
  EXPECT_THROW(solve(gaussian_matrix(6, 4, 1), bad), Error);
  const LeastSquaresResult zero = solve(Dense(6, 4), gaussian_matrix(6, 1, 2));
  EXPECT_EQ(norm(dense_of(zero.x_NC.view())), 0.0);
  EXPECT_EQ(zero.relative_residual, 1.0);
}

TEST(Trace, HutchPlusPlusIsUnbiasedAndBeatsHutchinson) {
  const std::int64_t n = 60, products = 18, draws = 300;
  Dense a(n, n);
  const Dense v = orthonormal_matrix(n, n, 4);
  double truth = 0;
  for (std::int64_t k = 0; k < n; ++k) {
    const double w = 1.0 / static_cast<double>((k + 1) * (k + 1));
    truth += w;
    for (std::int64_t j = 0; j < n; ++j) {
      for (std::int64_t i = 0; i < n; ++i) a(i, j) += w * v(i, k) * v(j, k);
    }
  }
  double frobenius = 0, diagonal = 0;
  for (std::int64_t j = 0; j < n; ++j) {
    diagonal += a(j, j) * a(j, j);
    for (std::int64_t i = 0; i < n; ++i) frobenius += a(i, j) * a(i, j);
  }
  const Matrix input = matrix_of(a, DType::f64);
  double mean[2] = {}, square[2] = {}, claimed[2] = {};
  for (std::int64_t draw = 0; draw < draws; ++draw) {
    for (const int method : {0, 1}) {
      const linalg::Estimate estimate = linalg::trace(seeded(static_cast<std::uint64_t>(draw)), input.view(), products,
                                                      method == 0 ? linalg::TraceMethod::hutchinson : linalg::TraceMethod::hutchpp);
      EXPECT_EQ(estimate.products, products);
      mean[method] += estimate.value / static_cast<double>(draws);
      square[method] += (estimate.value - truth) * (estimate.value - truth) / static_cast<double>(draws);
      claimed[method] += estimate.error * estimate.error / static_cast<double>(draws);
    }
  }
  for (const int method : {0, 1}) {
    EXPECT_NEAR(mean[method], truth, 4 * std::sqrt(square[method] / static_cast<double>(draws))) << method;
    EXPECT_NEAR(claimed[method], square[method], 0.4 * square[method]) << method;
  }
  const double variance = 2 * (frobenius - diagonal) / static_cast<double>(products);
  EXPECT_NEAR(square[0], variance, 4 * std::sqrt(2.0 / static_cast<double>(draws)) * variance);
  EXPECT_LE(square[1], square[0] / 10);
}

TEST(Trace, IsExactOnLowRankAndSplitRows) {
  const Dense v = orthonormal_matrix(40, 4, 9);
  const Dense a = multiply(v, transposed(v));  // a projection: trace 4
  const Matrix input = matrix_of(a, DType::f64);
  EXPECT_NEAR(linalg::trace(seeded(1), input.view(), 15).value, 4.0, 1e-12);
  const double whole = linalg::trace(seeded(1), input.view(), 6).value;
  on_ranks(3, 40, 1, [&](const linalg::Context& context, int rank) {
    const auto [first, rows] = share_of(40, 3, rank);
    const Matrix mine = matrix_of(block(a, first, rows, 0, 40), DType::f64);
    EXPECT_NEAR(linalg::trace(context, mine.view(), 6).value, whole, 1e-12);
  });
  EXPECT_THROW(linalg::trace(seeded(1), input.view(), 5), Error);
  EXPECT_THROW(linalg::trace(seeded(1), matrix_of(gaussian_matrix(4, 5, 1), DType::f64).view(), 9), Error);
}

TEST(Norms, SpectralAndFrobenius) {
  for (const double scale : {1e-8, 1.0, 1e8}) {
    const std::vector<double> s = harmonic_spectrum(50);
    const Dense a = scaled(matrix_with_singular_values(70, 50, s, 9), scale);
    const Matrix input = matrix_of(a, DType::f64);
    const linalg::Estimate spectral = linalg::spectral_norm(seeded(1), input.view());
    EXPECT_NEAR(spectral.value, scale, 2e-6 * scale);  // residual^2 over the gap of 1/2
    EXPECT_LE(spectral.value, scale * (1 + 1e-13));
    EXPECT_LE(spectral.error, 1e-3 * scale);
    EXPECT_GE(spectral.iterations, 1);
    const linalg::Estimate frobenius = linalg::frobenius_norm(seeded(1), input.view());
    EXPECT_NEAR(frobenius.value, norm(a), frobenius.error + 1e-14 * norm(a));
  }
}

}  // namespace
}  // namespace panther::test
