#include "kernels/linalg/bqrrp.h"

#include <limits>

#include "core/error.h"
#include "kernels/linalg/column_moves.h"
#include "tests/kernels/qr_expectations.h"

namespace panther::linalg {
namespace {

using namespace panther::test;

class BqrrpTest : public testing::TestWithParam<DType> {
 protected:
  void SetUp() override {
    if (cpu_kernels().lapack == nullptr) GTEST_SKIP() << "built with PANTHER_WITH_OPENBLAS=OFF";
    lapack = cpu_kernels().lapack;
  }
  DType dtype() const { return GetParam(); }

  static Dense r_of(const BqrrpResult& result) {
    const std::int64_t m = result.factored_MN.rows(), n = result.factored_MN.columns();
    return upper_triangle(block(dense_of(result.factored_MN.view()), 0, std::min(m, n), 0, n));
  }
  /// Q by form_q over the first min(M, N) columns: what any reader of GEQP3's format does.
  Dense q_of(const BqrrpResult& result) const {
    const std::int64_t m = result.factored_MN.rows(), k = result.tau_K.rows();
    const Matrix q = matrix_of(test::block(dense_of(result.factored_MN.view()), 0, m, 0, k), dtype());
    TensorView tau = result.tau_K.view();
    lapack->form_q(q.view(), tau, plain_allocator(), {});
    return dense_of(q.view());
  }
  void expect_good(const Dense& a, const BqrrpResult& result) const { expect_qr(a, result.pivots, q_of(result), r_of(result), dtype()); }

  const LapackKernels* lapack = nullptr;
};

TEST_P(BqrrpTest, FactorsDifficultMatrices) {
  for (const auto& [m, n] : {std::array<std::int64_t, 2>{300, 200}, {160, 160}}) {
    for (const Named& one : difficult_matrices(m, n, dtype())) {
      SCOPED_TRACE(concat(one.name, " ", m, " x ", n));
      const Dense exact = rounded(one.matrix, dtype());
      const BqrrpResult result = bqrrp({}, matrix_of(exact, dtype()).view(), {.block_columns = 32});
      expect_good(exact, result);
      expect_pivot_quality(r_of(result), geqp3_diagonal(exact, dtype()), one.rank, dtype());
      // In f32 rounding of the input itself stands near the threshold.
      EXPECT_NEAR(static_cast<double>(result.report.rank), static_cast<double>(one.rank), dtype() == DType::f64 ? 0 : 5);
    }
  }
}

TEST_P(BqrrpTest, DecayingSpectraTakeNewSketchesAndKeepQuality) {
  for (const auto& spectrum : {halving_spectrum(150), graded_spectrum(150, 1e14), step_spectrum(150, 40, 1e-9)}) {
    const Dense exact = rounded(matrix_with_singular_values(200, 150, spectrum, 41), dtype());
    const BqrrpResult result = bqrrp({}, matrix_of(exact, dtype()).view(), {.block_columns = 32});
    if (spectrum.back() < 1e-12) {
      EXPECT_GT(result.report.sketches, 1);
    }
    expect_good(exact, result);
    expect_pivot_quality(r_of(result), geqp3_diagonal(exact, dtype()), 150, dtype());
  }
}

TEST_P(BqrrpTest, KahanKeepsItsOrderOfMagnitude) {
  const Dense exact = rounded(kahan_matrix(120), dtype());
  const BqrrpResult result = bqrrp({}, matrix_of(exact, dtype()).view(), {.block_columns = 32});
  expect_good(exact, result);
  // GEQP3 keeps the order of the columns, and its last pivot is far above the smallest singular value: nobody should do worse.
  const std::vector<double> reference = geqp3_diagonal(exact, dtype());
  expect_pivot_quality(r_of(result), reference, 119, dtype());
  EXPECT_LT(std::abs(r_of(result)(119, 119)), 10 * reference.back());
}

TEST_P(BqrrpTest, TwoHundredShapesTallSquareAndWide) {
  for (std::uint64_t trial = 0; trial < 200; ++trial) {
    const auto m = static_cast<std::int64_t>(1 + 80 * (1 + random_value(35, trial))), n = static_cast<std::int64_t>(1 + 80 * (1 + random_value(36, trial)));
    const Dense exact = rounded(gaussian_matrix(m, n, trial), dtype());
    Context context;
    context.seed = trial;
    SCOPED_TRACE(concat(m, " x ", n));
    const BqrrpResult result = bqrrp(context, matrix_of(exact, dtype()).view(), {.block_columns = 1 + static_cast<std::int64_t>(trial % 40)});
    expect_good(exact, result);
    EXPECT_EQ(result.report.rank, std::min(m, n));
  }
}

TEST_P(BqrrpTest, OrdinaryMatricesNeedOneSketchAndNoHouseholderPanel) {
  const Dense exact = rounded(gaussian_matrix(500, 400, 42), dtype());
  const BqrrpResult result = bqrrp({}, matrix_of(exact, dtype()).view());
  EXPECT_EQ(result.report.sketches, 1);
  EXPECT_EQ(result.report.householder_panels, 0);
  expect_good(exact, result);
}

TEST_P(BqrrpTest, MultiplyQReadsItsFormat) {
  const Dense exact = rounded(gaussian_matrix(200, 130, 43), dtype());
  const BqrrpResult result = bqrrp({}, matrix_of(exact, dtype()).view(), {.block_columns = 48});
  const Matrix permuted = matrix_of(take_columns(exact, result.pivots), dtype());
  lapack->multiply_q(true, result.factored_MN.view(), result.tau_K.view(), permuted.view(), plain_allocator(), {});
  Dense r(200, 130);
  const Dense top = r_of(result);
  for (std::int64_t j = 0; j < 130; ++j) std::copy_n(top.column(j), 130, r.column(j));
  EXPECT_LE(norm(subtract(dense_of(permuted.view()), r)), qr_tolerance(dtype()) * norm(exact));
}

TEST_P(BqrrpTest, ZeroTrailingMatricesAndZerosEndEarly) {
  Dense low(150, 140);
  const Dense some = gaussian_matrix(150, 20, 44);
  for (std::int64_t j = 0; j < 20; ++j) std::copy_n(some.column(j), 150, low.column(j * 7));
  for (const Dense& a : {low, Dense(150, 140)}) {
    const Dense exact = rounded(a, dtype());
    const BqrrpResult result = bqrrp({}, matrix_of(exact, dtype()).view(), {.block_columns = 32});
    expect_good(exact, result);
    EXPECT_EQ(result.report.rank, norm(a) == 0 ? 0 : 20);
  }
}

TEST_P(BqrrpTest, TinyAndEmpty) {
  for (const auto& [m, n] : {std::array<std::int64_t, 2>{0, 0}, {0, 4}, {4, 0}, {1, 1}, {1, 200}, {200, 1}, {70, 3000}, {3000, 70}}) {
    const Dense exact = rounded(gaussian_matrix(m, n, 45), dtype());
    SCOPED_TRACE(concat(m, " x ", n));
    expect_good(exact, bqrrp({}, matrix_of(exact, dtype()).view()));
  }
}

TEST_P(BqrrpTest, SketchesMayBeTallerThanTheMatrix) {
  struct Case { std::int64_t m, n; BqrrpOptions options; };
  for (const Case& one : {Case{100, 200, {.block_columns = 100}}, Case{70, 300, {.sketch_factor = 4}},
                          Case{70, 70, {.block_columns = 70, .sketch_factor = 8}}}) {
    const Dense exact = rounded(gaussian_matrix(one.m, one.n, 47), dtype());
    SCOPED_TRACE(concat(one.m, " x ", one.n));
    expect_good(exact, bqrrp({}, matrix_of(exact, dtype()).view(), one.options));
  }
}

TEST_P(BqrrpTest, RefusesNormsThatOverflow) {
  // Norms of 1.2 times the largest number; neither entries nor those of the sketch come near it.
  const double largest = dtype() == DType::f32 ? std::numeric_limits<float>::max() : std::numeric_limits<double>::max(), scale = 1.2 / std::sqrt(1000.0);
  for (const std::int64_t n : {200, 50}) {  // blocked and not
    const Dense large = rounded(scaled(gaussian_matrix(1000, n, 48), scale * largest), dtype());
    try {
      bqrrp({}, matrix_of(large, dtype()).view());
      FAIL() << n << " columns of infinite norm went through";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::InvalidArgument);
      EXPECT_NE(std::string(error.what()).find("overflow"), std::string::npos) << error.what();
    }
  }
}

TEST_P(BqrrpTest, RefusesBadInputUntouched) {
  Dense bad = gaussian_matrix(120, 100, 46);
  bad(119, 99) = std::nan("");
  const Matrix a = matrix_of(bad, dtype()), tau = matrix_of(Dense(100, 1), dtype());
  std::vector<std::int64_t> pivots(100);
  EXPECT_THROW(bqrrp_in_place({}, a.view(), tau.view(), pivots), Error);
  bad(119, 99) = 0;
  Dense now = dense_of(a.view());
  now(119, 99) = 0;
  EXPECT_EQ(now.values, rounded(bad, dtype()).values);
  EXPECT_THROW(bqrrp({}, matrix_of(gaussian_matrix(9, 9, 1), dtype()).view(), {.sketch_factor = 0}), Error);
}

INSTANTIATE_TEST_SUITE_P(Cpu, BqrrpTest, testing::Values(DType::f32, DType::f64),
                         [](const auto& one) { return std::string(dtype_name(one.param)); });

TEST(ColumnMovesTest, MovesNoMoreThanNeeded) {
  const std::vector<std::int64_t> chosen{5, 1, 0};
  const ColumnMoves moves = moves_to_front(chosen);
  EXPECT_THAT(moves.sources, testing::ElementsAre(5, 1, 0, 2));
  EXPECT_THAT(moves.targets, testing::ElementsAre(0, 1, 2, 5));
  EXPECT_THAT(moves_to_front(std::vector<std::int64_t>{1, 0}).targets, testing::ElementsAre(0, 1));
}

TEST(ColumnMovesTest, AnOrderMovesOnlyWhatChangesPlace) {
  const ColumnMoves moves = moves_of(std::vector<std::int64_t>{3, 1, 0, 2});
  EXPECT_THAT(moves.sources, testing::ElementsAre(3, 0, 2));
  EXPECT_THAT(moves.targets, testing::ElementsAre(0, 2, 3));
}

}  // namespace
}  // namespace panther::linalg
