#include "kernels/linalg/cqrrpt.h"

#include "core/error.h"
#include "tests/kernels/qr_expectations.h"

namespace panther::linalg {
namespace {

using namespace panther::test;

class CqrrptTest : public testing::TestWithParam<DType> {
 protected:
  void SetUp() override {
    if (cpu_kernels().lapack == nullptr) GTEST_SKIP() << "built with PANTHER_WITH_OPENBLAS=OFF";
  }
  DType dtype() const { return GetParam(); }
};

void expect_good(const Dense& a, const CqrrptResult& result, DType dtype, double dropped = 0) {
  expect_qr(a, result.pivots, dense_of(result.q_MK.view()), dense_of(result.r_KN.view()), dtype, dropped);
}

TEST_P(CqrrptTest, FactorsDifficultMatricesAndFindsTheirRanks) {
  for (const Named& one : difficult_matrices(400, 60, dtype())) {
    SCOPED_TRACE(one.name);
    const Matrix a = matrix_of(one.matrix, dtype());
    const CqrrptResult result = cqrrpt({}, a.view());
    EXPECT_EQ(result.rank, one.rank);
    const Dense exact = dense_of(a.view());
    expect_good(exact, result, dtype());
    expect_pivot_quality(dense_of(result.r_KN.view()), geqp3_diagonal(exact, dtype()), result.rank, dtype());
    EXPECT_LE(result.quality.orthogonality, 4 * qr_tolerance(dtype()) * std::sqrt(60.0));
    EXPECT_LE(result.quality.residual, 4 * qr_tolerance(dtype()));
  }
}

TEST_P(CqrrptTest, KahanLosesAtMostItsLastColumn) {
  const Dense exact = rounded(kahan_matrix(120), dtype());
  const CqrrptResult result = cqrrpt({}, matrix_of(exact, dtype()).view());
  EXPECT_GE(result.rank, 119);
  expect_good(exact, result, dtype());
  expect_pivot_quality(dense_of(result.r_KN.view()), geqp3_diagonal(exact, dtype()), 119, dtype());
}

// Upstream's f32 rank filter (threshold 2.9 on a diagonal that pivoting alone spreads to 3) cut every such matrix.
TEST_P(CqrrptTest, NeverTruncatesFullRankGaussians) {
  for (const std::int64_t n : {16, 32, 64, 128, 256, 512}) {
    const std::int64_t trials = n <= 64 ? 10 : n <= 256 ? 2 : 1;
    for (std::int64_t trial = 0; trial < trials; ++trial) {
      const Matrix a = matrix_of(gaussian_matrix(2 * n, n, static_cast<std::uint64_t>(1000 * n + trial)), dtype());
      Context context;
      context.seed = static_cast<std::uint64_t>(trial);
      const CqrrptResult result = cqrrpt(context, a.view(), {.estimate_error = true});
      EXPECT_EQ(result.rank, n) << "trial " << trial;
      EXPECT_FALSE(result.shifted);
      EXPECT_LE(result.quality.residual, qr_tolerance(dtype()));
    }
  }
}

// Upstream compared with 1e-6 or 1e-12 whatever the matrix' size.
TEST_P(CqrrptTest, RankDoesNotDependOnScale) {
  const Dense low = matrix_with_singular_values(200, 40, step_spectrum(12, 12, 0), 9);
  for (const double scale : {1e-12, 1e-8, 1.0, 1e8, 1e12}) {
    const CqrrptResult result = cqrrpt({}, matrix_of(scaled(low, scale), dtype()).view());
    EXPECT_EQ(result.rank, 12) << scale;
  }
  const CqrrptResult by_tolerance = cqrrpt({}, matrix_of(matrix_with_singular_values(200, 40, graded_spectrum(40, 1e4), 10), dtype()).view(), {.rank_tolerance = 1e-2});
  EXPECT_NEAR(static_cast<double>(by_tolerance.rank), 20, 5);
}

// Upstream raised when Cholesky failed. A sketch with as many rows as columns is a bad preconditioner: its condition is of order n.
TEST_P(CqrrptTest, SurvivesABadPreconditioner) {
  bool any_more_passes = false;
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    const Dense exact = rounded(gaussian_matrix(300, 80, 100 + seed), dtype());
    Context context;
    context.seed = seed;
    const CqrrptResult result = cqrrpt(context, matrix_of(exact, dtype()).view(), {.sketch_factor = 1.0});
    EXPECT_EQ(result.rank, 80);
    expect_good(exact, result, dtype());
    any_more_passes = any_more_passes || result.passes > 1;
  }
  EXPECT_TRUE(any_more_passes) << "the test did not reach what it tests";
}

TEST_P(CqrrptTest, TwoHundredShapes) {
  for (std::uint64_t trial = 0; trial < 200; ++trial) {
    const auto n = static_cast<std::int64_t>(1 + 25 * (1 + random_value(31, trial))), m = n + static_cast<std::int64_t>(60 * (1 + random_value(32, trial)));
    const Dense exact = rounded(gaussian_matrix(m, n, trial), dtype());
    Context context;
    context.seed = trial;
    SCOPED_TRACE(concat(m, " x ", n));
    const CqrrptResult result = cqrrpt(context, matrix_of(exact, dtype()).view());
    EXPECT_EQ(result.rank, n);
    expect_good(exact, result, dtype());
  }
}

TEST_P(CqrrptTest, TinyWideEmptyAndZero) {
  for (const auto& [m, n] : {std::array<std::int64_t, 2>{1, 1}, {1, 7}, {7, 1}, {5, 30}, {64, 64}, {65, 64}}) {
    const Dense exact = rounded(gaussian_matrix(m, n, 11), dtype());
    SCOPED_TRACE(concat(m, " x ", n));
    const CqrrptResult result = cqrrpt({}, matrix_of(exact, dtype()).view());
    EXPECT_EQ(result.rank, std::min(m, n));
    expect_good(exact, result, dtype());
  }
  for (const auto& [m, n] : {std::array<std::int64_t, 2>{0, 0}, {0, 4}, {4, 0}, {9, 4}}) {
    const CqrrptResult result = cqrrpt({}, matrix_of(Dense(m, n), dtype()).view());
    EXPECT_EQ(result.rank, 0);
    EXPECT_EQ(result.q_MK.rows(), m);
    EXPECT_EQ(result.r_KN.columns(), n);
    expect_permutation(result.pivots, n);
  }
}

TEST_P(CqrrptTest, ReadsAnyStridesAndEverySketch) {
  const Dense exact = rounded(gaussian_matrix(150, 20, 12), dtype());
  for (const Layout layout : {Layout::rows, Layout::columns, Layout::padded, Layout::spread}) {
    Array a = make_matrix(dtype(), 150, 20, layout);
    copy_to(exact, a.view);
    expect_good(exact, cqrrpt({}, a.view), dtype());
  }
  for (const char* kind : {"gaussian", "rademacher", "saso", "count_sketch", "srht"}) {
    SCOPED_TRACE(kind);
    expect_good(exact, cqrrpt({}, matrix_of(exact, dtype()).view(), {.sketch_factor = 2, .sketch = kind}), dtype());
  }
}

TEST_P(CqrrptTest, SaysWhatIsWrongBeforeItWorks) {
  Dense a = gaussian_matrix(50, 10, 13);
  for (const double bad : {std::nan(""), std::numeric_limits<double>::infinity()}) {
    a(37, 3) = bad;
    try {
      cqrrpt({}, matrix_of(a, dtype()).view());
      ADD_FAILURE() << "took " << bad;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::InvalidArgument);
      EXPECT_THAT(error.what(), testing::HasSubstr("nan or infinity"));
    }
  }
  EXPECT_THROW(cqrrpt({}, TensorView(nullptr, DType::bf16, {4, 4})), Error);
  EXPECT_THROW(cqrrpt({}, matrix_of(a, dtype()).view(), {.sketch_factor = 0.5}), Error);
  try {
    cqrrpt({}, TensorView(nullptr, dtype(), {std::int64_t{1} << 30, 100'000}));
    ADD_FAILURE() << "there cannot be that much memory";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::OutOfMemory);
    EXPECT_THAT(error.what(), testing::HasSubstr("needs about"));
  }
  KernelSet bare = cpu_kernels();
  bare.lapack = nullptr;
  const Context context{bare, plain_allocator(), {}, {}, 0, -1, 0, {}};
  try {
    cqrrpt(context, matrix_of(gaussian_matrix(5, 2, 1), dtype()).view());
    ADD_FAILURE() << "worked without LAPACK";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::Unsupported);
    EXPECT_THAT(error.what(), testing::HasSubstr("PANTHER_WITH_OPENBLAS"));
  }
}

TEST_P(CqrrptTest, TellsProgressUpwardsAndEqualSeedsGiveEqualBits) {
  const Matrix a = matrix_of(gaussian_matrix(300, 40, 14), dtype());
  double last = -1;
  Context context;
  context.progress = [&](std::string_view, double share) {
    EXPECT_GE(share, last);
    last = share;
  };
  const CqrrptResult one = cqrrpt(context, a.view()), two = cqrrpt({}, a.view());
  EXPECT_EQ(last, 1);
  EXPECT_EQ(dense_of(one.q_MK.view()).values, dense_of(two.q_MK.view()).values);
  EXPECT_EQ(one.pivots, two.pivots);
}

INSTANTIATE_TEST_SUITE_P(Cpu, CqrrptTest, testing::Values(DType::f32, DType::f64),
                         [](const auto& one) { return std::string(dtype_name(one.param)); });

}  // namespace
}  // namespace panther::linalg
