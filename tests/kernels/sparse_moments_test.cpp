// First and second moments of the sparse, Hadamard and composed operators against closed forms (docs/sketch_operators.md), and errors of
// their own. Keys are fixed; each comparison allows five standard errors of its own sample, which another key would exceed with a
// probability of 6e-7 (normal approximation).
#include <gtest/gtest.h>

#include <cmath>
#include <functional>

#include "core/error.h"
#include "tests/kernels/sketch_fixture.h"

namespace panther {
namespace {

constexpr std::int64_t kColumns = 13, kRows = 5;
constexpr int kTrials = 20000;

struct Moments {
  double sum = 0, square = 0;
  void add(double value) { sum += value, square += value * value; }
  double mean() const { return sum / kTrials; }
  double standard_error() const { return std::sqrt(std::max(0.0, square / kTrials - mean() * mean()) / kTrials); }
};

/// What the closed forms depend on: a unit vector v.
struct Vector {
  std::vector<double> v;
  double fourth() const {
    double sum = 0;
    for (const double x : v) sum += x * x * x * x;
    return sum;
  }
};

Vector spread_vector() {
  Vector result;
  double square = 0;
  for (std::int64_t i = 0; i < kColumns; ++i) result.v.push_back(test::random_value(2, static_cast<std::uint64_t>(i))), square += result.v.back() * result.v.back();
  for (double& x : result.v) x /= std::sqrt(square);
  return result;
}

Vector coherent_vector() {
  Vector result{std::vector<double>(kColumns, 0.0)};
  result.v[4] = 0.96, result.v[7] = -0.28;
  return result;
}

struct Truth {
  double error;     ///< E || S^T S v - v ||^2, |v| = 1
  double variance;  ///< Var || S v ||^2
};

struct Operator {
  SketchSpec spec;
  std::function<Truth(const Vector&)> truth;
};

Operator hashed(const std::string& kind, std::int64_t nonzeros) {
  SketchSpec spec = test::sketch_spec(kind, kRows, kColumns);
  spec.nonzeros = nonzeros;
  return {spec, [](const Vector& v) { return Truth{(kColumns - 1.0) / kRows, 2 * (1 - v.fourth()) / kRows}; }};
}

// Table 1.1 of the derivations: a penalty of n / (s k) on coherent vectors.
Operator laso(std::int64_t s) {
  SketchSpec spec = test::sketch_spec("laso", kRows, kColumns);
  spec.nonzeros = s;
  const auto count = static_cast<double>(s);
  return {spec, [count](const Vector& v) {
            const double n = kColumns, v4 = v.fourth(), more = (count - 1) / count;
            return Truth{(n - 1) / kRows, ((n / count + more) * v4 + 3 * more * (1 - v4) - 1) / kRows};
          }};
}

// N = 16 rows of H, kRows of them without replacement: X_ij, i != j, has the variance (N - k) / (k (N - 1)).
Operator srht() {
  return {test::sketch_spec("srht", kRows, kColumns), [](const Vector& v) {
            const double factor = (16.0 - kRows) / 15.0;
            return Truth{factor * (kColumns - 1.0) / kRows, factor * 2 * (1 - v.fourth()) / kRows};
          }};
}

// E || S^T S v - v ||^2 = (sum v_j^2 / p_j - 1) / k, Var || S v ||^2 = (sum v_j^4 / p_j - 1) / k.
Operator row_sampling() {
  const SketchSpec spec = test::sketch_spec("row_sampling", kRows, kColumns);
  return {spec, [weights = spec.weights](const Vector& v) {
            double total = 0, second = 0, fourth = 0;
            for (const double w : *weights) total += w;
            for (std::size_t j = 0; j < v.v.size(); ++j) {
              const double p = (*weights)[j] / total;
              second += v.v[j] * v.v[j] / p, fourth += std::pow(v.v[j], 4) / p;
            }
            return Truth{(second - 1) / kRows, (fourth - 1) / kRows};
          }};
}

// C to m rows, then Gaussian: with w = C v, E[G^T G w w^T G^T G] = (1 + 1/k) w w^T + |w|^2 / k I and tr(C C^T) = n.
Operator multi_sketch() {
  SketchSpec spec = test::sketch_spec("multi_sketch", kRows, kColumns);
  spec.inner_rows = 9;
  return {spec, [](const Vector& v) {
            const double n = kColumns, k = kRows, m = 9;
            return Truth{(1 + 1 / k) * (1 + (n - 1) / m) + n / k - 1, (1 + 2 / k) * (1 + 2 * (1 - v.fourth()) / m) - 1};
          }};
}

class Moment : public testing::TestWithParam<std::pair<const char*, Operator>> {};

/// body(scaled S as [k, n] row-major) for many seeds.
void over_draws(SketchSpec spec, const std::function<void(const std::vector<double>&)>& body) {
  std::vector<double> s(kRows * kColumns);
  for (int t = 0; t < kTrials; ++t) {
    spec.seed = static_cast<std::uint64_t>(t);
    const auto sketch = make_sketch(spec);
    sketch->materialize({}, {}, sketch->isometry_scale(), TensorView(s.data(), DType::f64, {kRows, kColumns}));
    body(s);
  }
}

TEST_P(Moment, SecondMomentsAreTheClosedForms) {
  const Operator& op = GetParam().second;
  for (const Vector& vector : {spread_vector(), coherent_vector()}) {
    Moments error, deviation;
    over_draws(op.spec, [&](const std::vector<double>& s) {
      double norm = 0, distance = 0;
      std::vector<double> back(kColumns);
      for (std::int64_t i = 0; i < kRows; ++i) {
        double y = 0;
        for (std::int64_t j = 0; j < kColumns; ++j) y += s[static_cast<std::size_t>(i * kColumns + j)] * vector.v[static_cast<std::size_t>(j)];
        norm += y * y;
        for (std::int64_t j = 0; j < kColumns; ++j) back[static_cast<std::size_t>(j)] += s[static_cast<std::size_t>(i * kColumns + j)] * y;
      }
      for (std::int64_t j = 0; j < kColumns; ++j) distance += std::pow(back[static_cast<std::size_t>(j)] - vector.v[static_cast<std::size_t>(j)], 2);
      error.add(distance);
      deviation.add((norm - 1) * (norm - 1));
    });
    const Truth truth = op.truth(vector);
    EXPECT_NEAR(error.mean(), truth.error, 5 * error.standard_error() + 1e-12);
    EXPECT_NEAR(deviation.mean(), truth.variance, 5 * deviation.standard_error() + 1e-12);
    EXPECT_LT(5 * error.standard_error(), 0.08 * truth.error + 1e-12) << "the comparison means something";
    EXPECT_LT(5 * deviation.standard_error(), 0.15 * truth.variance + 1e-12);
  }
}

// E[S^T S] = I, element by element. 91 elements: the bound of 5.5 standard errors keeps 4e-6 for all.
TEST_P(Moment, IsAnIsometryOnAverage) {
  std::vector<Moments> gram(kColumns * kColumns);
  over_draws(GetParam().second.spec, [&](const std::vector<double>& s) {
    for (std::size_t a = 0; a < kColumns; ++a) {
      for (std::size_t b = a; b < kColumns; ++b) {
        double sum = 0;
        for (std::size_t i = 0; i < kRows; ++i) sum += s[i * kColumns + a] * s[i * kColumns + b];
        gram[a * kColumns + b].add(sum);
      }
    }
  });
  for (std::size_t a = 0; a < kColumns; ++a) {
    for (std::size_t b = a; b < kColumns; ++b) {
      const Moments& m = gram[a * kColumns + b];
      EXPECT_NEAR(m.mean(), a == b ? 1.0 : 0.0, 5.5 * m.standard_error() + 1e-12) << a << "," << b;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Operators, Moment,
                         testing::Values(std::pair{"count_sketch", hashed("count_sketch", 1)}, std::pair{"saso1", hashed("saso", 1)},
                                         std::pair{"saso3", hashed("saso", 3)}, std::pair{"saso5", hashed("saso", 5)}, std::pair{"laso1", laso(1)},
                                         std::pair{"laso4", laso(4)}, std::pair{"laso40", laso(40)}, std::pair{"srht", srht()},
                                         std::pair{"row_sampling", row_sampling()}, std::pair{"multi_sketch", multi_sketch()}),
                         [](const auto& tested) { return std::string(tested.param.first); });

/// The message of the InvalidArgument that making this throws.
std::string refusal(const SketchSpec& spec) {
  try {
    make_sketch(spec);
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::InvalidArgument);
    return error.message();
  }
  ADD_FAILURE() << spec.kind << " was made";
  return {};
}

TEST(SparseOperators, RefuseWhatTheyCannotBe) {
  SketchSpec spec = test::sketch_spec("saso", 3, 10);
  spec.nonzeros = 4;
  EXPECT_NE(refusal(spec).find("[1, 3], is 4"), std::string::npos);
  spec.nonzeros = 0;
  EXPECT_NE(refusal(spec).find("is 0"), std::string::npos);
  spec = test::sketch_spec("laso", 3, 10);
  spec.nonzeros = 257;
  EXPECT_NE(refusal(spec).find("rademacher"), std::string::npos);
  spec = test::sketch_spec("multi_sketch", 5, 10);
  spec.inner_rows = 11;
  EXPECT_NE(refusal(spec).find("inner_rows"), std::string::npos);
}

TEST(RowSampling, RefusesWeightsThatAreNoDistribution) {
  SketchSpec spec = test::sketch_spec("row_sampling", 3, 4);
  const auto with = [&](std::vector<double> weights) {
    spec.weights = std::make_shared<const std::vector<double>>(std::move(weights));
    return refusal(spec);
  };
  EXPECT_NE(with({1, 2, 3}).find("3 weights for 4"), std::string::npos);
  EXPECT_NE(with({1, -2, 3, 4}).find("weight 1 is -2"), std::string::npos);
  EXPECT_NE(with({1, 2, NAN, 4}).find("weight 2"), std::string::npos);
  EXPECT_NE(with({0, 0, 0, 0}).find("add up to 0"), std::string::npos);
  spec.weights = nullptr;
  EXPECT_NE(refusal(spec).find("needs weights"), std::string::npos);
}

// Rows without weight are never drawn; one with all of it always is.
TEST(RowSampling, DrawsOnlyRowsWithWeight) {
  SketchSpec spec = test::sketch_spec("row_sampling", 500, 6);
  spec.weights = std::make_shared<const std::vector<double>>(std::vector<double>{0, 3, 0, 0, 1, 0});
  const test::Array s = test::materialized(*make_sketch(spec), {}, {}, DType::f64);
  int heavy = 0;
  for (std::int64_t i = 0; i < 500; ++i) {
    ASSERT_EQ(s.at(i, 0) + s.at(i, 2) + s.at(i, 3) + s.at(i, 5), 0);
    ASSERT_TRUE((s.at(i, 1) == std::sqrt(4.0 / 3.0) && s.at(i, 4) == 0) || (s.at(i, 1) == 0 && s.at(i, 4) == 2.0));
    heavy += s.at(i, 1) != 0;
  }
  EXPECT_NEAR(heavy, 375, 5 * std::sqrt(500 * 0.75 * 0.25));
}

}  // namespace
}  // namespace panther
