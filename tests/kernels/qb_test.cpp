#include "kernels/linalg/qb.h"

#include <gtest/gtest.h>

#include "core/error.h"
#include "kernels/linalg/krylov_svd.h"
#include "kernels/linalg/residual.h"
#include "kernels/linalg/single_pass_svd.h"
#include "tests/kernels/linalg_fixture.h"

namespace panther::test {
namespace {

using linalg::ErrorKind;
using linalg::qb;
using linalg::QbOptions;
using linalg::QbResult;

double true_error(const Dense& a, const QbResult& result) {
  return norm(subtract(a, multiply(dense_of(result.q_MK.view()), transposed(dense_of(result.bt_NK.view()))))) / norm(a);
}

QbResult run(const Dense& a, const QbOptions& options, DType dtype = DType::f64) {
  const Matrix input = matrix_of(a, dtype);
  return qb(seeded(4), input.view(), options);
}

TEST(Qb, IndicatorAgreesWithTheResidualAboveTenTimesItsFloor) {
  for (const DType dtype : {DType::f32, DType::f64}) {
    for (const double condition : {1e1, 1e2, 1e4, 1e6}) {
      const Dense a = rounded(matrix_with_singular_values(80, 60, graded_spectrum(60, condition), 5), dtype);
      QbOptions options;
      options.rank = 40;
      options.block = 10;
      const QbResult result = run(a, options, dtype);
      const double error = true_error(a, result);
      if (error > 10 * result.error_floor) {
        EXPECT_NEAR(result.relative_error, error, 1e-3 * error + 20 * unit_roundoff(dtype) / error) << condition;  // the squares' rounding over 2 error
      } else {
        EXPECT_LE(result.relative_error, 12 * result.error_floor);
      }
      EXPECT_LE(orthogonality(dense_of(result.q_MK.view())), 100 * unit_roundoff(dtype));
    }
  }
}

TEST(Qb, FloorIsSaidAndHonest) {
  const Dense a = matrix_with_singular_values(60, 50, halving_spectrum(50), 5);
  EXPECT_NEAR(run(a, {.rank = 5}).error_floor, 1.5e-8, 1e-9);
  EXPECT_NEAR(run(a, {.rank = 5}, DType::f32).error_floor, 3.5e-4, 1e-5);
}

// Upstream's QB squares norms inside the formula: its tolerance is absolute. Ours is relative at every scale.
TEST(Qb, ToleranceIsRelative) {
  const Dense a = matrix_with_singular_values(90, 80, graded_spectrum(80, 1e6), 2);
  QbOptions options;
  options.tolerance = 1e-2;
  options.block = 8;
  const QbResult reference = run(a, options);
  EXPECT_TRUE(reference.reached_tolerance);
  EXPECT_LE(true_error(a, reference), 1e-2 * (1 + 1e-6));
  EXPECT_LT(reference.rank(), 80);
  for (const double scale : {1e-8, 1e8}) {
    for (const DType dtype : {DType::f64, DType::f32}) {
      const QbResult result = run(scaled(a, scale), options, dtype);
      EXPECT_NEAR(static_cast<double>(result.rank()), static_cast<double>(reference.rank()), dtype == DType::f64 ? 0 : 1) << scale;
    }
  }
}

TEST(Qb, TolerancesBelowTheIndicatorsFloorUseTheResidual) {
  const Dense a = matrix_with_singular_values(100, 90, halving_spectrum(60), 9);
  QbOptions options;
  options.tolerance = 1e-11;
  options.block = 8;
  const QbResult result = run(a, options);
  EXPECT_EQ(result.error_kind, ErrorKind::residual);
  EXPECT_TRUE(result.reached_tolerance);
  EXPECT_LE(true_error(a, result), 1e-11);
  EXPECT_NEAR(result.relative_error, true_error(a, result), 1e-3 * 1e-11 + 1e-14);
  EXPECT_LE(result.rank(), 48);  // 2^-37 needs 37 columns; blocks of 8
}

// Upstream's f32 tolerance of 1e-6 lies below the indicator's floor of 3.5e-4: it must be met truly or be said not to be.
TEST(Qb, F32SaysWhetherATightToleranceWasMet) {
  const Dense a = rounded(matrix_with_singular_values(80, 70, halving_spectrum(50), 9), DType::f32);
  for (const double tolerance : {1e-6, 1e-9}) {
    QbOptions options;
    options.tolerance = tolerance;
    options.block = 8;
    const QbResult result = run(a, options, DType::f32);
    EXPECT_EQ(result.error_kind, ErrorKind::residual);
    EXPECT_EQ(result.reached_tolerance, result.relative_error <= tolerance);
    EXPECT_LE(true_error(a, result), 2 * result.relative_error);  // the residual itself is rounded to f32
  }
  QbOptions impossible;
  impossible.tolerance = 1e-9;
  EXPECT_FALSE(run(a, impossible, DType::f32).reached_tolerance);
}

TEST(Qb, RankLimitIsSaid) {
  const Dense a = matrix_with_singular_values(50, 40, harmonic_spectrum(40), 3);
  const QbResult result = run(a, {.rank = 10, .tolerance = 1e-3, .block = 4});
  EXPECT_EQ(result.rank(), 10);
  EXPECT_FALSE(result.reached_tolerance);
  EXPECT_GT(result.relative_error, 1e-3);
}

TEST(Qb, GivesTheSameOnAnyNumberOfRanks) {
  const Dense a = matrix_with_singular_values(45, 30, harmonic_spectrum(30), 3);
  const QbOptions options{.tolerance = 0.2, .block = 4};
  const QbResult whole = run(a, options);
  for (const int ranks : {1, 2, 3, 4, 8}) {
    Dense got(45, 30);
    on_ranks(ranks, 45, 4, [&](const linalg::Context& context, int rank) {
      const auto [first, rows] = share_of(45, ranks, rank);
      const Matrix mine = matrix_of(block(a, first, rows, 0, 30), DType::f64);
      const QbResult part = qb(context, mine.view(), options);
      EXPECT_EQ(part.rank(), whole.rank());
      const Dense rebuilt = multiply(dense_of(part.q_MK.view()), transposed(dense_of(part.bt_NK.view())));
      for (std::int64_t j = 0; j < 30; ++j) std::copy_n(rebuilt.column(j), rows, got.column(j) + first);
    });
    EXPECT_LE(norm(subtract(got, multiply(dense_of(whole.q_MK.view()), transposed(dense_of(whole.bt_NK.view()))))), 1e-11) << ranks;
  }
}

TEST(Qb, HoldsOn200RandomShapes) {
  for (std::uint64_t trial = 0; trial < 200; ++trial) {
    const auto pick = [&](std::uint64_t what, std::int64_t most) { return 1 + static_cast<std::int64_t>((random_value(trial, what) + 1) / 2 * static_cast<double>(most)); };
    const std::int64_t m = pick(0, 40), n = pick(1, 40);
    QbOptions options{.rank = std::min({pick(2, 20), m, n}), .block = pick(3, 8), .power_iterations = static_cast<int>(pick(4, 3)) - 1};
    const DType dtype = trial % 2 == 0 ? DType::f64 : DType::f32;
    const Dense a = rounded(gaussian_matrix(m, n, trial), dtype);
    const QbResult result = run(a, options, dtype);
    ASSERT_EQ(result.rank(), options.rank);
    EXPECT_LE(orthogonality(dense_of(result.q_MK.view())), 200 * unit_roundoff(dtype)) << m << "x" << n;
    const double error = true_error(a, result);
    EXPECT_NEAR(error * error, result.relative_error * result.relative_error, 400 * unit_roundoff(dtype)) << m << "x" << n;
  }
}

TEST(KrylovSvd, ConvergesToTheWantedResidual) {
  for (const std::vector<double>& s : {harmonic_spectrum(100), halving_spectrum(40), step_spectrum(100, 8, 0.5)}) {
    const Dense a = matrix_with_singular_values(120, 100, s, 41);
    const Matrix input = matrix_of(a, DType::f64);
    linalg::KrylovOptions options;
    options.rank = 8;
    options.tolerance = 1e-10;
    const linalg::KrylovResult result = linalg::krylov_svd(seeded(2), input.view(), options);
    EXPECT_TRUE(result.reached_tolerance);
    const Dense u = dense_of(result.u_MK.view()), v = dense_of(result.v_NK.view()), values = dense_of(result.s_K.view());
    EXPECT_LE(orthogonality(u), 1e-13);
    EXPECT_LE(orthogonality(v), 1e-13);
    for (std::int64_t i = 0; i < 8; ++i) {
      EXPECT_NEAR(values(i, 0), s[static_cast<std::size_t>(i)], 1e-10) << i;
      const Dense residual = subtract(multiply_transposed(a, block(u, 0, 120, i, 1)), scaled(block(v, 0, 100, i, 1), values(i, 0)));
      EXPECT_LE(norm(residual), 1.1e-10);
      EXPECT_NEAR(norm(residual), result.residuals[static_cast<std::size_t>(i)], 1e-13) << i;
    }
  }
}

TEST(KrylovSvd, SaysWhenStepsDoNotSuffice) {
  const Matrix input = matrix_of(matrix_with_singular_values(120, 100, harmonic_spectrum(100), 41), DType::f64);
  linalg::KrylovOptions options;
  options.rank = 10;
  options.tolerance = 1e-12;
  options.most_steps = 2;
  const linalg::KrylovResult result = linalg::krylov_svd(seeded(2), input.view(), options);
  EXPECT_FALSE(result.reached_tolerance);
  EXPECT_EQ(result.iterations, 2);
  options.tolerance = 0;
  EXPECT_THROW(linalg::krylov_svd(seeded(2), input.view(), options), Error);
}

// With 8 of 10 columns spanned, 4 newest columns of U reach only 2 further directions, each with all of them.
TEST(KrylovSvd, ResidualsAreRightWhereTheLastBlockDoesNotFit) {
  const Dense a = gaussian_matrix(50, 10, 7);
  const Matrix input = matrix_of(a, DType::f64);
  for (const std::int64_t block_size : {3, 4, 7}) {
    linalg::KrylovOptions options;
    options.block = block_size;
    options.most_steps = static_cast<int>(9 / block_size);
    options.rank = block_size * options.most_steps;
    options.tolerance = 1e-14;
    const linalg::KrylovResult result = linalg::krylov_svd(seeded(3), input.view(), options);
    const Dense u = dense_of(result.u_MK.view()), v = dense_of(result.v_NK.view()), values = dense_of(result.s_K.view());
    double largest = 0;
    for (std::int64_t i = 0; i < options.rank; ++i) {
      const Dense residual = subtract(multiply_transposed(a, block(u, 0, 50, i, 1)), scaled(block(v, 0, 10, i, 1), values(i, 0)));
      EXPECT_NEAR(norm(residual), result.residuals[static_cast<std::size_t>(i)], 1e-13 * norm(a)) << block_size << ": " << i;
      largest = std::max(largest, norm(residual));
    }
    EXPECT_GT(largest, 1e-3 * norm(a)) << "nothing was tested";
  }
}

TEST(KrylovSvd, IsExactOnTheWholeSpaceOfAnyShape) {
  for (std::uint64_t trial = 0; trial < 100; ++trial) {
    const std::int64_t m = 1 + static_cast<std::int64_t>(trial % 13), n = 1 + static_cast<std::int64_t>(trial / 8);
    const Dense a = gaussian_matrix(m, n, trial);
    linalg::KrylovOptions options;
    options.rank = std::min(m, n);
    options.block = 1 + static_cast<std::int64_t>(trial % 3);
    options.tolerance = 1e-14;
    const Matrix input = matrix_of(a, DType::f64);
    const linalg::KrylovResult result = linalg::krylov_svd(seeded(trial), input.view(), options);
    EXPECT_LE(norm(subtract(a, compose(result.u_MK.view(), result.s_K.view(), result.v_NK.view()))), 1e-12 * norm(a)) << m << "x" << n;
  }
}

TEST(SinglePass, IsExactWhenTheRankFits) {
  const Dense a = matrix_with_singular_values(90, 70, graded_spectrum(6, 10), 3);
  const Matrix input = matrix_of(a, DType::f64);
  const auto result = linalg::single_pass_svd(seeded(8), input.view(), {.rank = 6});
  EXPECT_LE(norm(subtract(a, compose(result.u_MK.view(), result.s_K.view(), result.v_NK.view()))), 1e-10 * norm(a));
  EXPECT_LE(result.relative_error, 1e-10);
  EXPECT_LE(orthogonality(dense_of(result.u_MK.view())), 1e-12);
  EXPECT_LE(orthogonality(dense_of(result.v_NK.view())), 1e-12);
}

TEST(SinglePass, MeanErrorStaysBelowTroppsBoundAndTheEstimateIsRight) {
  const std::vector<double> s = harmonic_spectrum(60);
  const Dense a = matrix_with_singular_values(80, 60, s, 3);
  const Matrix input = matrix_of(a, DType::f64);
  const std::int64_t range = 15, corange = 31, draws = 40;
  double square = 0, sampled = 0;
  for (std::int64_t draw = 0; draw < draws; ++draw) {
    const auto result = linalg::single_pass_svd(seeded(static_cast<std::uint64_t>(draw)), input.view(), {.rank = range, .range_size = range, .corange_size = corange, .test_size = 30});
    const double error = norm(subtract(a, compose(result.u_MK.view(), result.s_K.view(), result.v_NK.view())));
    square += error * error / static_cast<double>(draws);
    sampled += result.relative_error * result.relative_error * norm(a) * norm(a) / static_cast<double>(draws);
  }
  double bound = 1e300;
  for (std::int64_t r = 1; r < range - 1; ++r) {
    const double f = static_cast<double>(r) / static_cast<double>(range - r - 1), g = static_cast<double>(range) / static_cast<double>(corange - range - 1);
    bound = std::min(bound, (1 + f) * (1 + g) * tail(s, r) * tail(s, r));
  }
  EXPECT_LE(square, bound);
  // Relative variance of one squared estimate is at most 2/30; of the mean of 40 draws, 2/1200: 4 standard deviations are 16 %.
  EXPECT_NEAR(sampled, square, 0.17 * square);
}

TEST(SinglePass, RowsMayComeInAnyOrderAndOnAnyRank) {
  const Dense a = matrix_with_singular_values(41, 30, harmonic_spectrum(30), 3);
  const Matrix input = matrix_of(a, DType::f64);
  const linalg::SinglePassOptions options{.rank = 5};
  const auto whole = linalg::single_pass_svd(seeded(8), input.view(), options);
  const Dense expected = compose(whole.u_MK.view(), whole.s_K.view(), whole.v_NK.view());
  for (const int ranks : {1, 2, 3, 4, 8}) {
    Dense got(41, 30);
    on_ranks(ranks, 41, 8, [&](const linalg::Context& context, int rank) {
      const auto [first, rows] = share_of(41, ranks, rank);
      linalg::SinglePassSvd stream(context, DType::f64, Device{}, rows, 30, options);
      for (std::int64_t end = rows; end > 0; end -= 3) {  // last rows first, three at a time
        const std::int64_t begin = std::max<std::int64_t>(0, end - 3);
        stream.add_rows(first + begin, input.view().slice(first + begin, end - begin));
      }
      EXPECT_EQ(stream.rows_added(), rows);
      const auto part = stream.finish();
      const Dense rebuilt = compose(part.u_MK.view(), part.s_K.view(), part.v_NK.view());
      for (std::int64_t j = 0; j < 30; ++j) std::copy_n(rebuilt.column(j), rows, got.column(j) + first);
      EXPECT_NEAR(part.relative_error, whole.relative_error, 1e-10);
    });
    EXPECT_LE(norm(subtract(got, expected)), 1e-10) << ranks;
  }
}

TEST(SinglePass, MistakesAreNamed) {
  const Matrix input = matrix_of(gaussian_matrix(10, 6, 1), DType::f64);
  linalg::SinglePassSvd stream(seeded(0), DType::f64, Device{}, 10, 6, {.rank = 2});
  stream.add_rows(0, input.view().slice(0, 4));
  EXPECT_THROW(stream.add_rows(3, input.view().slice(3, 2)), Error);   // row 3 twice
  EXPECT_THROW(stream.add_rows(8, input.view().slice(0, 3)), Error);   // beyond the end
  EXPECT_THROW(stream.finish(), Error);                                // rows 4.. are missing
  stream.add_rows(4, input.view().slice(4, 6));
  stream.finish();
  EXPECT_THROW(stream.finish(), Error);
  EXPECT_THROW(linalg::SinglePassSvd(seeded(0), DType::f64, Device{}, 10, 6, {.rank = 7}), Error);
  EXPECT_THROW(linalg::SinglePassSvd(seeded(0), DType::f64, Device{}, 10, 6, {.rank = 0}), Error);
}

TEST(Memory, TooLittleIsSaidBeforehandWithTheEstimate) {
  try {
    linalg::SinglePassSvd(seeded(0), DType::f64, Device{}, std::int64_t{1} << 40, 1000, {.rank = 100});
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::OutOfMemory);
    EXPECT_NE(error.message().find("needs about"), std::string::npos) << error.message();
    EXPECT_NE(error.message().find("are free"), std::string::npos) << error.message();
  }
}

TEST(Residual, IndicatorIsStableForHugeAndTinyNorms) {
  EXPECT_NEAR(linalg::error_indicator(1e200, 0.8e200), 0.6, 1e-15);
  EXPECT_NEAR(linalg::error_indicator(1e-200, 0.8e-200), 0.6, 1e-15);
  EXPECT_EQ(linalg::error_indicator(0, 0), 0.0);
}

}  // namespace
}  // namespace panther::test
