// First and second moments of every operator against closed forms (docs/sketch_operators.md states them), over many seeds.
#include "tests/kernels/sketch_fixture.h"
#include "tests/kernels/statistics.h"

namespace panther {
namespace {

using test::Array;
using test::Sample;

constexpr std::int64_t kSize = 8, kColumns = 32;  // k and n; n a power of two, so that SRHT has no padding
constexpr std::uint64_t kDraws = 20000;

std::vector<double> test_vector() {
  std::vector<double> v;
  double square = 0;
  for (std::int64_t j = 0; j < kColumns; ++j) {
    v.push_back((j % 3 == 0 ? 2.0 : 1.0) * (j % 2 == 0 ? 1 : -1));
    square += v.back() * v.back();
  }
  for (double& x : v) x /= std::sqrt(square);
  return v;
}

/// E ||S^T S v - v||^2 and Var ||S v||^2 for ||v|| = 1 in isometry scale; negative: no closed form here.
struct Moments {
  double error = -1, variance = -1;
};

Moments moments(const std::string& kind, const std::vector<double>& v) {
  const double k = kSize, n = kColumns, s = static_cast<double>(test::sketch_spec(kind, kSize, kColumns).nonzeros);
  double v4 = 0;
  for (const double x : v) v4 += x * x * x * x;
  // Entries of kurtosis m: (n + m - 2) / k and (2 + (m - 3) v4) / k.
  const Moments signs{(n - 1) / k, 2 * (1 - v4) / k};
  if (kind == "gaussian") return {(n + 1) / k, 2 / k};
  if (kind == "uniform") return {(n - 0.2) / k, (2 - 1.2 * v4) / k};
  if (kind == "rademacher" || kind == "count_sketch" || kind == "saso") return signs;
  if (kind == "srht") return {(n - k) / k, signs.variance * (n - k) / (n - 1)};
  // ||S v||^2 = (n / k) Beta(k / 2, (n - k) / 2).
  if (kind == "haar") return {(n - k) / k, 2 * (n - k) / (k * (n + 2))};
  if (kind == "laso") return {(n - 1) / k, ((n / s + (s - 1) / s) * v4 + 3 * (s - 1) / s * (1 - v4) - 1) / k};
  if (kind == "row_sampling") {
    const auto weights = test::sampling_weights(kColumns);
    double total = 0, error = 0, fourth = 0;
    for (const double w : *weights) total += w;
    for (std::size_t j = 0; j < v.size(); ++j) {
      const double p = (*weights)[j] / total;
      error += v[j] * v[j] * (1 / p - 1) / k, fourth += v[j] * v[j] * v[j] * v[j] / p;
    }
    return {error, (fourth - 1) / k};
  }
  return {};
}

/// The mean of S^T S - I over draws, entry by entry.
struct Bias {
  std::vector<double> sum = std::vector<double>(kColumns * kColumns), square = std::vector<double>(kColumns * kColumns);

  void add(const Array& s) {
    for (std::int64_t a = 0; a < kColumns; ++a) {
      for (std::int64_t b = 0; b <= a; ++b) {
        double e = a == b ? -1.0 : 0.0;
        for (std::int64_t i = 0; i < kSize; ++i) e += s.at(i, a) * s.at(i, b);
        sum[static_cast<std::size_t>(a * kColumns + b)] += e, square[static_cast<std::size_t>(a * kColumns + b)] += e * e;
      }
    }
  }

  /// T ||mean||^2 / E ||error||^2 is 1 in the mean; its variance is 2 / dof for independent normal entries of variances w: dof = (sum w)^2 / sum w^2.
  void check(double draws) const {
    double mean = 0, total = 0, squares = 0;
    for (std::int64_t a = 0; a < kColumns; ++a) {
      for (std::int64_t b = 0; b <= a; ++b) {
        const auto at = static_cast<std::size_t>(a * kColumns + b);
        const double weight = a == b ? 1.0 : 2.0, w = weight * square[at] / draws;
        mean += weight * sum[at] * sum[at] / draws / draws, total += w, squares += w * w;
      }
    }
    const double ratio = draws * mean / total, dof = total * total / squares;
    EXPECT_NEAR(ratio, 1.0, 4 * std::sqrt(2 / dof)) << "biased: mean of S^T S is not I; dof " << dof;
  }
};

class SketchMoments : public testing::TestWithParam<std::string> {};

TEST_P(SketchMoments, AreThoseOfTheConstruction) {
  const std::vector<double> v = test_vector();
  Sample errors, norms;
  Bias bias;
  Array s = test::make_matrix(DType::f64, kSize, kColumns);
  for (std::uint64_t seed = 0; seed < kDraws; ++seed) {
    const auto sketch = make_sketch(test::sketch_spec(GetParam(), kSize, kColumns, seed));
    sketch->materialize({}, {}, sketch->isometry_scale(), s.view);
    double norm = 0, error = 0;
    std::vector<double> back(v);
    for (std::int64_t i = 0; i < kSize; ++i) {
      double y = 0;
      for (std::int64_t j = 0; j < kColumns; ++j) y += s.at(i, j) * v[static_cast<std::size_t>(j)];
      norm += y * y;
      for (std::int64_t j = 0; j < kColumns; ++j) back[static_cast<std::size_t>(j)] -= y * s.at(i, j);
    }
    for (const double e : back) error += e * e;
    errors.add(error), norms.add(norm);
    if (seed < kDraws / 5) bias.add(s);
  }
  bias.check(kDraws / 5);
  EXPECT_NEAR(norms.mean(), 1.0, 5 * norms.mean_error()) << "isometry scale";
  const Moments expected = moments(GetParam(), v);
  if (expected.error < 0) GTEST_SKIP() << GetParam() << ": unbiased; no closed form of its second moments here";
  // Five standard errors of the estimate (6e-7 to fail), which are themselves small enough to see 3 %.
  EXPECT_NEAR(errors.mean(), expected.error, 5 * errors.mean_error());
  EXPECT_NEAR(norms.variance(), expected.variance, 5 * norms.variance_error());
  EXPECT_LT(errors.mean_error(), 0.01 * expected.error);
  EXPECT_LT(norms.variance_error(), 0.05 * expected.variance);
}

INSTANTIATE_TEST_SUITE_P(Kinds, SketchMoments, testing::ValuesIn(sketch_operators().names()), [](const auto& kind) { return kind.param; });

}  // namespace
}  // namespace panther
