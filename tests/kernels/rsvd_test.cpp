#include "kernels/linalg/rsvd.h"

#include <gtest/gtest.h>

#include <limits>
#include <numbers>

#include "core/error.h"
#include "tests/kernels/linalg_fixture.h"

namespace panther::test {
namespace {

using linalg::RangeFinder;
using linalg::rsvd;
using linalg::RsvdOptions;
using linalg::SvdResult;

double true_error(const Dense& a, const SvdResult& result) {
  return norm(subtract(a, compose(result.u_MK.view(), result.s_K.view(), result.v_NK.view())));
}

SvdResult run(const Dense& a, const RsvdOptions& options, DType dtype = DType::f64, std::uint64_t seed = 5) {
  const Matrix input = matrix_of(a, dtype);
  return rsvd(seeded(seed), input.view(), options);
}

RsvdOptions rank_only(std::int64_t rank, RangeFinder range = RangeFinder::krylov) {
  RsvdOptions options;
  options.rank = rank;
  options.range = range;
  return options;
}

class BothRanges : public ::testing::TestWithParam<RangeFinder> {};
INSTANTIATE_TEST_SUITE_P(Rsvd, BothRanges, ::testing::Values(RangeFinder::krylov, RangeFinder::power),
                         [](const auto& range) { return range.param == RangeFinder::krylov ? "krylov" : "power"; });

TEST_P(BothRanges, ComesNearTheOptimumOnKnownSpectra) {
  struct Case { const char* name; std::vector<double> s; double ratio; };
  for (const Case& spectrum : {Case{"halving", halving_spectrum(40), 1.01}, Case{"harmonic", harmonic_spectrum(120), 1.1},
                               Case{"step", step_spectrum(120, 10, 0.1), 1.01}}) {
    const Dense a = matrix_with_singular_values(150, 120, spectrum.s, 21);
    for (const DType dtype : {DType::f32, DType::f64}) {
      const SvdResult result = run(a, rank_only(10, GetParam()), dtype);
      const double rounding = 50 * unit_roundoff(dtype) * norm(a);
      EXPECT_LE(true_error(a, result), spectrum.ratio * tail(spectrum.s, 10) + rounding) << spectrum.name << " " << dtype_name(dtype);
      EXPECT_LE(orthogonality(dense_of(result.u_MK.view())), 100 * unit_roundoff(dtype));
      EXPECT_LE(orthogonality(dense_of(result.v_NK.view())), 100 * unit_roundoff(dtype));
    }
  }
}

TEST_P(BothRanges, FindsTheRampOf1000By500) {
  std::vector<double> s(251);
  for (std::size_t j = 0; j < s.size(); ++j) s[j] = 500.0 - static_cast<double>(j);
  const Dense a = matrix_with_singular_values(1000, 500, s, 31);
  const SvdResult exact = run(a, rank_only(251, GetParam()));
  EXPECT_LE(true_error(a, exact), 1e-12 * norm(a));
  const Dense values = dense_of(exact.s_K.view());
  for (std::int64_t j = 0; j < 251; ++j) EXPECT_NEAR(values(j, 0), s[static_cast<std::size_t>(j)], 1e-10) << j;
  const SvdResult part = run(a, rank_only(100, GetParam()));
  EXPECT_LE(true_error(a, part), 1.1 * tail(s, 100));
}

// Halko, Martinsson, Tropp, theorems 10.5 and 10.6: bounds of the mean over draws of a Gaussian sketch without power steps.
TEST(Rsvd, MeanErrorsStayBelowHalkosBounds) {
  const std::int64_t k = 8, p = 5, draws = 30;
  for (const std::vector<double>& s : {harmonic_spectrum(60), halving_spectrum(30), step_spectrum(60, 8, 0.3)}) {
    const Dense a = matrix_with_singular_values(70, 60, s, 3);
    double frobenius = 0, spectral = 0;
    for (std::int64_t draw = 0; draw < draws; ++draw) {
      RsvdOptions options = rank_only(k + p, RangeFinder::power);
      options.oversampling = 0;
      options.power_iterations = 0;
      options.sketch = "gaussian";
      const SvdResult result = run(a, options, DType::f64, 100 + static_cast<std::uint64_t>(draw));
      const Dense rest = subtract(a, compose(result.u_MK.view(), result.s_K.view(), result.v_NK.view()));
      frobenius += norm(rest) / static_cast<double>(draws);
      spectral += jacobi_singular_values(rest).front() / static_cast<double>(draws);
    }
    const double ratio = static_cast<double>(k) / static_cast<double>(p - 1), beyond = tail(s, k), next = s[static_cast<std::size_t>(k)];
    EXPECT_LE(frobenius, std::sqrt(1 + ratio) * beyond);
    EXPECT_LE(spectral, (1 + std::sqrt(ratio)) * next + std::numbers::e * std::sqrt(static_cast<double>(k + p)) / static_cast<double>(p) * beyond);
  }
}

TEST(Rsvd, KrylovIsNoWorseThanPowerIterationsWithOnePassFewer) {
  const std::vector<double> s = harmonic_spectrum(150);
  const Dense a = matrix_with_singular_values(160, 150, s, 77);
  double krylov = 0, power = 0;
  for (std::uint64_t seed = 0; seed < 5; ++seed) {
    const SvdResult first = run(a, rank_only(12), DType::f64, seed), second = run(a, rank_only(12, RangeFinder::power), DType::f64, seed);
    EXPECT_EQ(first.passes, 5);
    EXPECT_EQ(second.passes, 6);
    krylov += true_error(a, first);
    power += true_error(a, second);
  }
  EXPECT_LE(krylov, power);
}

// Upstream's test: exact-rank matrices of condition 2.
TEST_P(BothRanges, RecoversExactRank) {
  struct Shape { std::int64_t m, n, k; };
  for (const Shape shape : {Shape{10, 10, 5}, Shape{50, 20, 10}, Shape{30, 60, 20}, Shape{100, 10, 5}}) {
    for (const DType dtype : {DType::f32, DType::f64}) {
      const Dense a = rounded(matrix_with_singular_values(shape.m, shape.n, graded_spectrum(shape.k, 2), 13), dtype);
      const SvdResult result = run(a, rank_only(shape.k, GetParam()), dtype);
      EXPECT_LE(true_error(a, result), std::pow(2 * unit_roundoff(dtype), 0.625));
      EXPECT_LE(result.relative_error, 2 * result.error_floor);
    }
  }
}

TEST_P(BothRanges, HoldsOn200RandomShapes) {
  for (std::uint64_t trial = 0; trial < 200; ++trial) {
    const auto pick = [&](std::uint64_t what, std::int64_t most) { return 1 + static_cast<std::int64_t>((random_value(trial, what) + 1) / 2 * static_cast<double>(most)); };
    const std::int64_t m = pick(0, 40), n = pick(1, 40), k = std::min({pick(2, 12), m, n});
    const DType dtype = trial % 2 == 0 ? DType::f64 : DType::f32;
    const Dense a = rounded(gaussian_matrix(m, n, trial), dtype);
    RsvdOptions options = rank_only(k, GetParam());
    options.oversampling = pick(3, 6) - 1;
    const SvdResult result = run(a, options, dtype, trial);
    const double size = norm(a), rounding = 200 * unit_roundoff(dtype), error = true_error(a, result);
    const Dense values = dense_of(result.s_K.view());
    ASSERT_EQ(values.rows, k);
    for (std::int64_t j = 1; j < k; ++j) EXPECT_GE(values(j - 1, 0), values(j, 0));
    EXPECT_LE(orthogonality(dense_of(result.u_MK.view())), rounding) << m << "x" << n << " " << k;
    EXPECT_LE(orthogonality(dense_of(result.v_NK.view())), rounding) << m << "x" << n << " " << k;
    // ||A||^2 - sum s^2 is the squared error up to rounding of the squares.
    EXPECT_NEAR(error * error, result.relative_error * result.relative_error * size * size, 4 * rounding * size * size) << m << "x" << n << " " << k;
    const double optimum = tail(jacobi_singular_values(a), k);
    EXPECT_GE(error, optimum * (1 - rounding) - rounding * size);
    EXPECT_LE(error, 2 * optimum + rounding * size) << m << "x" << n << " " << k;
  }
}

// The basis outgrows the rank, and rounding errors stay inside the columns that are not zero: noise is no help to complete it.
TEST_P(BothRanges, StaysOrthonormalWhenColumnsAreZero) {
  const Dense narrow = matrix_with_singular_values(200, 61, harmonic_spectrum(61), 3);
  Dense a(200, 64);
  for (std::int64_t i = 0; i < 200; ++i) {
    for (std::int64_t j = 0; j < 61; ++j) a(i, j + j / 25) = narrow(i, j);
  }
  for (const int q : {2, 3, 4, 5, 6}) {
    for (const DType dtype : {DType::f64, DType::f32}) {
      RsvdOptions options = rank_only(10, GetParam());
      options.power_iterations = q;
      const SvdResult result = run(rounded(a, dtype), options, dtype);
      const double rounding = 200 * unit_roundoff(dtype);
      EXPECT_LE(orthogonality(dense_of(result.u_MK.view())), rounding) << q;
      EXPECT_LE(orthogonality(dense_of(result.v_NK.view())), rounding) << q;
      const Dense values = dense_of(result.s_K.view());
      for (std::int64_t j = 0; j < 10; ++j) EXPECT_LE(values(j, 0), 1.0 / static_cast<double>(j + 1) + rounding) << q << " " << j;
      EXPECT_NEAR(values(1, 0), 0.5, 1e-5) << q;
    }
  }
}

TEST_P(BothRanges, DoesNotDependOnScale) {
  const Dense a = matrix_with_singular_values(60, 50, harmonic_spectrum(50), 8);
  const double reference = true_error(a, run(a, rank_only(6, GetParam())));
  for (const double scale : {1e-8, 1e8}) {
    for (const DType dtype : {DType::f32, DType::f64}) {
      const Dense b = scaled(a, scale);
      const SvdResult result = run(b, rank_only(6, GetParam()), dtype);
      EXPECT_NEAR(true_error(b, result) / scale, reference, (dtype == DType::f64 ? 1e-9 : 1e-3) * reference);
    }
  }
}

TEST_P(BothRanges, TakesTinyAndZeroMatrices) {
  for (const auto& [m, n] : {std::pair<std::int64_t, std::int64_t>{1, 1}, {1, 7}, {7, 1}, {2, 2}}) {
    const Dense a = gaussian_matrix(m, n, 4);
    const SvdResult result = run(a, rank_only(1, GetParam()));
    const std::vector<double> s = jacobi_singular_values(a);
    EXPECT_NEAR(dense_of(result.s_K.view())(0, 0), s[0], 1e-13);
    const SvdResult zero = run(Dense(m, n), rank_only(1, GetParam()));
    EXPECT_EQ(dense_of(zero.s_K.view())(0, 0), 0.0);
    EXPECT_EQ(zero.relative_error, 0.0);
  }
}

TEST_P(BothRanges, GivesTheSameOnAnyNumberOfRanks) {
  const Dense a = matrix_with_singular_values(53, 31, harmonic_spectrum(31), 15);
  const SvdResult whole = run(a, rank_only(6, GetParam()));
  const Dense expected = compose(whole.u_MK.view(), whole.s_K.view(), whole.v_NK.view());
  for (const int ranks : {1, 2, 3, 4, 8}) {
    Dense got(53, 31);
    std::vector<Dense> values(static_cast<std::size_t>(ranks));
    on_ranks(ranks, 53, 5, [&](const linalg::Context& context, int rank) {
      const auto [first, rows] = share_of(53, ranks, rank);
      const Matrix mine = matrix_of(block(a, first, rows, 0, 31), DType::f64);
      const SvdResult part = rsvd(context, mine.view(), rank_only(6, GetParam()));
      const Dense rebuilt = compose(part.u_MK.view(), part.s_K.view(), part.v_NK.view());
      for (std::int64_t j = 0; j < 31; ++j) std::copy_n(rebuilt.column(j), rows, got.column(j) + first);
      values[static_cast<std::size_t>(rank)] = dense_of(part.s_K.view());
    });
    EXPECT_LE(norm(subtract(got, expected)), 1e-11) << ranks;
    for (const Dense& s : values) EXPECT_EQ(s.values, values.front().values);
  }
}

TEST(Rsvd, ReadsEveryLayout) {
  const Array reference = random_matrix(DType::f64, 23, 17, 6, Layout::rows);
  const Dense expected = dense_of(reference.view);
  for (const Layout layout : {Layout::rows, Layout::columns, Layout::padded, Layout::spread}) {
    Array a = make_matrix(DType::f64, 23, 17, layout);
    for (std::int64_t i = 0; i < 23; ++i) {
      for (std::int64_t j = 0; j < 17; ++j) a.set(i, j, reference.at(i, j));
    }
    const SvdResult result = rsvd(seeded(1), a.view, rank_only(17));
    EXPECT_LE(true_error(expected, result), 1e-13 * norm(expected)) << layout_name(layout);
  }
}

TEST(Rsvd, EqualSeedsGiveEqualBits) {
  const Dense a = gaussian_matrix(40, 30, 2);
  EXPECT_EQ(dense_of(run(a, rank_only(5)).u_MK.view()).values, dense_of(run(a, rank_only(5)).u_MK.view()).values);
  EXPECT_NE(dense_of(run(a, rank_only(5)).u_MK.view()).values, dense_of(run(a, rank_only(5), DType::f64, 6).u_MK.view()).values);
}

TEST(Rsvd, EverySketchServes) {
  const std::vector<double> s = harmonic_spectrum(64);
  const Dense a = matrix_with_singular_values(80, 64, s, 19);
  for (const char* sketch : {"rademacher", "uniform", "saso", "count_sketch", "srht", "laso"}) {
    RsvdOptions options = rank_only(8);
    options.sketch = sketch;
    EXPECT_LE(true_error(a, run(a, options)), 1.1 * tail(s, 8)) << sketch;
  }
}

TEST(Rsvd, FindsTheRankOfATolerance) {
  const std::vector<double> s = halving_spectrum(40);
  for (const double scale : {1.0, 1e-8, 1e8}) {
    const Dense a = scaled(matrix_with_singular_values(90, 70, s, 12), scale);
    RsvdOptions options;
    options.tolerance = 1e-3;
    const SvdResult result = run(a, options);
    // ||tail beyond k|| / ||A|| = 2^-k, so 10 is the smallest rank.
    EXPECT_EQ(result.rank(), 10);
    EXPECT_TRUE(result.reached_tolerance);
    EXPECT_LE(true_error(a, result), 1e-3 * norm(a));
    EXPECT_NEAR(result.relative_error, true_error(a, result) / norm(a), 1e-6);
  }
}

TEST(RsvdArguments, AreChecked) {
  const Matrix a = matrix_of(gaussian_matrix(6, 4, 1), DType::f64);
  EXPECT_THROW(rsvd(seeded(0), a.view(), rank_only(0)), Error);
  EXPECT_THROW(rsvd(seeded(0), a.view(), rank_only(5)), Error);
  EXPECT_THROW(rsvd(seeded(0), a.view(), rank_only(-1)), Error);
  RsvdOptions options = rank_only(2);
  options.tolerance = 1.5;
  EXPECT_THROW(rsvd(seeded(0), a.view(), options), Error);
  options = rank_only(2);
  options.oversampling = -1;
  EXPECT_THROW(rsvd(seeded(0), a.view(), options), Error);
  const Matrix empty = matrix_of(Dense(0, 4), DType::f64);
  EXPECT_THROW(rsvd(seeded(0), empty.view(), rank_only(1)), Error);
  Array half = random_matrix(DType::bf16, 5, 5, 1);
  EXPECT_THROW(rsvd(seeded(0), half.view, rank_only(1)), Error);
  linalg::Context split = seeded(0);
  split.total_rows = 12;
  EXPECT_THROW(rsvd(split, a.view(), rank_only(1)), Error);
}

TEST(RsvdArguments, NanAndInfinityAreFoundBeforeWorkStarts) {
  for (const double bad : {std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::infinity()}) {
    Dense a = gaussian_matrix(30, 20, 1);
    a(17, 11) = bad;
    const Matrix input = matrix_of(a, DType::f64);
    bool told = false;
    linalg::Context context = seeded(0);
    context.progress = [&](std::string_view, double) { told = true; };
    try {
      rsvd(context, input.view(), rank_only(3));
      FAIL();
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::InvalidArgument);
      EXPECT_NE(error.message().find("nan or infinite"), std::string::npos);
    }
    EXPECT_FALSE(told);
    // One rank's nan stops all of them.
    EXPECT_THROW(on_ranks(3, 30, 0, [&](const linalg::Context& ranked, int rank) {
      const auto [first, rows] = share_of(30, 3, rank);
      const Matrix mine = matrix_of(block(a, first, rows, 0, 20), DType::f64);
      rsvd(ranked, mine.view(), rank_only(3));
    }), Error);
  }
}

TEST(Rsvd, ProgressRisesToOneAndMayStopTheWork) {
  const Matrix a = matrix_of(gaussian_matrix(30, 20, 1), DType::f64);
  std::vector<double> shares;
  linalg::Context context = seeded(0);
  context.progress = [&](std::string_view, double share) { shares.push_back(share); };
  rsvd(context, a.view(), rank_only(3));
  ASSERT_GE(shares.size(), 2u);
  EXPECT_TRUE(std::is_sorted(shares.begin(), shares.end()));
  EXPECT_DOUBLE_EQ(shares.back(), 1.0);
  context.progress = [](std::string_view, double) { throw std::runtime_error("stop"); };
  EXPECT_THROW(rsvd(context, a.view(), rank_only(3)), std::runtime_error);
}

}  // namespace
}  // namespace panther::test
