// Row norms and leverage scores against closed forms and brute force in f64.
#include "kernels/sketch/leverage.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numeric>

#include "core/error.h"
#include "tests/kernels/sketch_fixture.h"

namespace panther {
namespace {

using test::Array;
using test::Layout;

class NeedsLapack : public ::testing::Test {
 protected:
  void SetUp() override {
    if (cpu_kernels().lapack == nullptr) GTEST_SKIP() << "built with PANTHER_WITH_OPENBLAS=OFF";
  }
};
class SquaredRowNorms : public NeedsLapack {};
class LeverageScores : public NeedsLapack {};

TEST_F(SquaredRowNorms, AreTheSums) {
  for (const DType dtype : {DType::f64, DType::f32, DType::bf16}) {
    for (const Layout layout : {Layout::rows, Layout::columns, Layout::spread}) {
      const Array a = test::random_matrix(dtype, 5003, 7, 2, layout);
      const std::vector<double> norms = squared_row_norms({}, a.view);
      ASSERT_EQ(norms.size(), 5003u);
      for (std::int64_t i = 0; i < 5003; ++i) {
        double sum = 0;
        for (std::int64_t c = 0; c < 7; ++c) sum += a.at(i, c) * a.at(i, c);
        ASSERT_NEAR(norms[static_cast<std::size_t>(i)], sum, 1e-6 * sum);
      }
    }
  }
}

/// Inverse of a small symmetric positive definite matrix by Gauss-Jordan, in f64.
std::vector<double> inverse(std::vector<double> m, std::size_t n) {
  std::vector<double> result(n * n);
  for (std::size_t i = 0; i < n; ++i) result[i * n + i] = 1;
  for (std::size_t p = 0; p < n; ++p) {
    const double pivot = m[p * n + p];
    for (std::size_t j = 0; j < n; ++j) m[p * n + j] /= pivot, result[p * n + j] /= pivot;
    for (std::size_t i = 0; i < n; ++i) {
      if (i == p) continue;
      const double factor = m[i * n + p];
      for (std::size_t j = 0; j < n; ++j) m[i * n + j] -= factor * m[p * n + j], result[i * n + j] -= factor * result[p * n + j];
    }
  }
  return result;
}

/// diag(A (A^T A)^-1 A^T).
std::vector<double> hat_diagonal(const Array& a) {
  const auto rows = static_cast<std::size_t>(a.view.shape[0]), n = static_cast<std::size_t>(a.view.shape[1]);
  const auto at = [&](std::size_t i, std::size_t c) { return a.at(static_cast<std::int64_t>(i), static_cast<std::int64_t>(c)); };
  std::vector<double> gram(n * n);
  for (std::size_t i = 0; i < rows; ++i) {
    for (std::size_t p = 0; p < n; ++p) {
      for (std::size_t q = 0; q < n; ++q) gram[p * n + q] += at(i, p) * at(i, q);
    }
  }
  const std::vector<double> inverted = inverse(gram, n);
  std::vector<double> diagonal(rows);
  for (std::size_t i = 0; i < rows; ++i) {
    for (std::size_t p = 0; p < n; ++p) {
      for (std::size_t q = 0; q < n; ++q) diagonal[i] += at(i, p) * inverted[p * n + q] * at(i, q);
    }
  }
  return diagonal;
}

/// A few rows are much heavier than the others.
Array uneven_matrix(DType dtype, std::int64_t rows, std::int64_t columns) {
  Array a = test::random_matrix(dtype, rows, columns, 6);
  for (std::int64_t i = 0; i < rows; i += 97) {
    for (std::int64_t c = 0; c < columns; ++c) a.set(i, c, 20 * a.at(i, c));
  }
  return a;
}

TEST_F(LeverageScores, AreTheDiagonalOfTheHatMatrix) {
  for (const DType dtype : {DType::f64, DType::f32}) {
    const Array a = uneven_matrix(dtype, 600, 8);
    const std::vector<double> scores = leverage_scores({}, a.view), expected = hat_diagonal(a);
    for (std::size_t i = 0; i < 600; ++i) ASSERT_NEAR(scores[i], expected[i], dtype == DType::f64 ? 1e-12 : 1e-5);
    EXPECT_NEAR(std::accumulate(scores.begin(), scores.end(), 0.0), 8, dtype == DType::f64 ? 1e-12 : 1e-4);
  }
}

// Without projections the only error is the sketch's: with 8 C rows singular values lie in 1 +- sqrt(1/8) or so; +-0.5 leaves a sparse
// sketch's tails room. Projections add a relative standard error of sqrt(2 / 64); five of them.
TEST_F(LeverageScores, ApproximateOnesAreWithinTheirDistortion) {
  for (const DType dtype : {DType::f64, DType::f32, DType::bf16}) {
    const Array a = uneven_matrix(dtype, 9000, 12);
    const std::vector<double> expected = hat_diagonal(a);
    for (const std::int64_t projections : {0, 64}) {
      const std::vector<double> scores = approximate_leverage_scores({}, a.view, {.seed = 3, .projections = projections});
      const double spread = projections == 0 ? 0 : 5 * std::sqrt(2.0 / 64);
      ASSERT_EQ(scores.size(), expected.size());
      for (std::size_t i = 0; i < scores.size(); ++i) {
        ASSERT_GT(scores[i], expected[i] / (1.5 * 1.5) * std::max(0.1, 1 - spread)) << i;
        ASSERT_LT(scores[i], expected[i] / (0.5 * 0.5) * (1 + spread)) << i;
      }
    }
  }
}

// The point of the scores: sampling by them keeps the range of a matrix whose information sits in few rows; sampling all rows alike
// would miss the first row, and with it the first column, with a probability of 90 %.
TEST_F(LeverageScores, SamplingByThemKeepsTheRange) {
  Array a = test::random_matrix(DType::f64, 4000, 3, 8);
  for (std::int64_t i = 0; i < 4000; ++i) a.set(i, 0, i == 0 ? 1.0 : 0.0);
  SketchSpec spec = test::sketch_spec("row_sampling", 400, 4000);
  spec.weights = std::make_shared<const std::vector<double>>(leverage_scores({}, a.view));
  const auto sketch = make_sketch(spec);
  const Array b = test::applied(*sketch, {}, false, {}, sketch->isometry_scale(), a, 0.0, test::make_matrix(DType::f64, 400, 3));
  for (std::int64_t c = 0; c < 3; ++c) {
    double before = 0, after = 0;
    for (std::int64_t i = 0; i < 4000; ++i) before += a.at(i, c) * a.at(i, c);
    for (std::int64_t i = 0; i < 400; ++i) after += b.at(i, c) * b.at(i, c);
    EXPECT_NEAR(after / before, 1, 0.5) << "column " << c;  // five standard errors of about 0.1
  }
}

TEST_F(LeverageScores, RefuseWhatHasNone) {
  const Array wide = test::random_matrix(DType::f64, 3, 5, 1);
  EXPECT_THROW(leverage_scores({}, wide.view), Error);
  const Array tall = test::random_matrix(DType::f64, 50, 2, 1);
  EXPECT_THROW(approximate_leverage_scores({}, tall.view, {.oversampling = 1}), Error);
  EXPECT_THROW(approximate_leverage_scores({}, tall.view, {.projections = -1}), Error);
}

}  // namespace
}  // namespace panther
