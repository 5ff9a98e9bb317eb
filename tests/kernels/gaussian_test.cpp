// Gaussian and uniform entries: the rule of their header, accuracy against libm, distribution, independence, what sketching theory needs.
#include "kernels/element/gaussian.h"

#include <gtest/gtest.h>

#include <numbers>

#include "kernels/element/uniform.h"
#include "kernels/sketch/dense_kernels.h"
#include "tests/kernels/sketch_fixture.h"
#include "tests/kernels/statistics.h"

namespace panther {
namespace {

using test::Array;

const SignKey kKey = SignKey::of(11, "gaussian.test", 2);

Array expand(DenseDistribution distribution, std::int64_t first_vector, std::int64_t first_element, std::int64_t vectors, std::int64_t elements) {
  Array out = test::make_matrix(DType::f32, vectors, elements);
  cpu_kernels().dense_sketch->expand({kKey, distribution, first_vector, first_element}, 1.0, out.view, {});
  return out;
}

TEST(RealEntries, AreThoseOfTheirHeader) {
  const std::int64_t first_vector = 5, first_element = 1234567;
  const Array normal = expand(DenseDistribution::gaussian, first_vector, first_element, 19, 1031);
  const Array uniform = expand(DenseDistribution::uniform, first_vector, first_element, 19, 1031);
  for (std::int64_t v = 0; v < 19; ++v) {
    for (std::int64_t e = 0; e < 1031; ++e) {
      const auto vector = static_cast<std::uint32_t>(first_vector + v), element = static_cast<std::uint32_t>(first_element + e);
      const PhiloxBlock gaussian_words = philox({{element / 4, vector, kKey.epoch, static_cast<std::uint32_t>(RandomDomain::gaussian)}}, PhiloxKey::from(kKey.key));
      const PhiloxBlock uniform_words = philox({{element / 4, vector, kKey.epoch, static_cast<std::uint32_t>(RandomDomain::uniform)}}, PhiloxKey::from(kKey.key));
      ASSERT_EQ(normal.at(v, e), static_cast<double>(normal_block(gaussian_words).value[element % 4])) << v << "," << e;
      ASSERT_EQ(uniform.at(v, e), static_cast<double>(uniform_unit_variance(uniform_words.word[element % 4]))) << v << "," << e;
    }
  }
}

double ulps(float value, double truth) {
  const float nearest = std::abs(static_cast<float>(truth));
  const double ulp = std::max(static_cast<double>(std::nextafter(nearest, INFINITY)) - nearest, 0x1p-149);
  return std::abs(value - truth) / ulp;
}

/// cos and sin of 2 pi word / 2^32 in f64, the quarter turns taken off in integers so that pi is no error.
std::pair<double, double> circle(std::uint32_t word) {
  const std::int64_t quarter = (std::int64_t{word} + (1 << 29)) >> 30;
  const double angle = 2 * std::numbers::pi * 0x1p-32 * static_cast<double>(std::int64_t{word} - (quarter << 30));
  const double c = std::cos(angle), s = std::sin(angle);
  switch (quarter % 4) {
    case 0: return {c, s};
    case 1: return {-s, c};
    case 2: return {-c, -s};
    default: return {s, -c};
  }
}

/// Words around every power of two and every eighth of a turn, both ends, and 2^21 spread over the range.
std::vector<std::uint32_t> words() {
  std::vector<std::uint32_t> result;
  for (int bit = 0; bit < 32; ++bit) {
    for (std::int64_t d = -4; d <= 4; ++d) result.push_back(static_cast<std::uint32_t>((std::int64_t{1} << bit) + d));
  }
  for (std::uint32_t eighth = 0; eighth < 8; ++eighth) {
    for (std::int64_t d = -300; d <= 300; ++d) result.push_back(static_cast<std::uint32_t>((std::int64_t{eighth} << 29) + d));
  }
  for (std::uint32_t i = 0; i < 1u << 21; ++i) result.push_back(i * 2048u + (i * 2654435761u >> 21));
  return result;
}

// The polynomials against libm in f64. A polynomial and its last addition lose about 1 ulp; the angle's conversion, constant and product
// half a unit of the angle each, so 3 ulp for a sine (an ulp is up to twice a unit), and the product of radius and sine 4.
TEST(Gaussian, IsAccurate) {
  double worst_log = 0, worst_radius = 0, worst_circle = 0, worst_value = 0;
  for (const std::uint32_t word : words()) {
    const float u = static_cast<float>(static_cast<std::int32_t>(word >> 1)) * 0x1p-31f + 0x1p-32f;
    const double logarithm = std::log(static_cast<double>(u));
    const auto [cosine, sine] = circle(word);
    const double radius = std::sqrt(-2 * logarithm);
    if (u < 1) worst_log = std::max(worst_log, ulps(log_positive(u), logarithm));
    worst_radius = std::max(worst_radius, ulps(normal_radius(word), radius));
    const NormalPair point = on_circle(word), pair = normal_pair(word * 7u, word);
    worst_circle = std::max({worst_circle, ulps(point.first, cosine), ulps(point.second, sine)});
    const float v = static_cast<float>(static_cast<std::int32_t>((word * 7u) >> 1)) * 0x1p-31f + 0x1p-32f;
    worst_value = std::max(worst_value, ulps(pair.second, std::sqrt(-2 * std::log(static_cast<double>(v))) * sine));
  }
  RecordProperty("log_ulp", std::to_string(worst_log));
  RecordProperty("circle_ulp", std::to_string(worst_circle));
  RecordProperty("value_ulp", std::to_string(worst_value));
  std::printf("largest error in ulp: log %.2f radius %.2f circle %.2f value %.2f\n", worst_log, worst_radius, worst_circle, worst_value);
  EXPECT_LE(worst_log, 2.0);
  EXPECT_LE(worst_radius, 2.0);
  EXPECT_LE(worst_circle, 3.0);
  EXPECT_LE(worst_value, 4.0);
}

TEST(Gaussian, HasFiniteExtremes) {
  EXPECT_EQ(normal_radius(0xffffffffu), 0.0f);
  EXPECT_NEAR(normal_radius(0), std::sqrt(64 * std::log(2.0)), 1e-6);
  EXPECT_EQ(on_circle(0).first, 1.0f);
  EXPECT_EQ(on_circle(0).second, 0.0f);
  EXPECT_EQ(on_circle(0x40000000u).second, 1.0f);
  EXPECT_EQ(on_circle(0x80000000u).first, -1.0f);
  EXPECT_EQ(on_circle(0xc0000000u).second, -1.0f);
}

constexpr std::int64_t kVectors = 256, kElements = 4096;
constexpr double kCount = static_cast<double>(kVectors) * kElements;

TEST(Gaussian, HasTheMomentsAndTailsOfTheNormalDistribution) {
  const Array x = expand(DenseDistribution::gaussian, 0, 0, kVectors, kElements);
  double m1 = 0, m2 = 0, m3 = 0, m4 = 0, beyond = 0;
  for (std::int64_t v = 0; v < kVectors; ++v) {
    for (std::int64_t e = 0; e < kElements; ++e) {
      const double g = x.at(v, e);
      m1 += g / kCount, m2 += g * g / kCount, m3 += g * g * g / kCount, m4 += g * g * g * g / kCount, beyond += std::abs(g) > 4;
    }
  }
  // Five standard deviations of each estimate: 6e-7 to fail.
  EXPECT_NEAR(m1, 0, 5 * std::sqrt(1 / kCount));
  EXPECT_NEAR(m2, 1, 5 * std::sqrt(2 / kCount));
  EXPECT_NEAR(m3, 0, 5 * std::sqrt(15 / kCount));
  EXPECT_NEAR(m4, 3, 5 * std::sqrt(96 / kCount));
  const double expected = kCount * 2 * test::normal_distribution(-4);
  EXPECT_NEAR(beyond, expected, 5 * std::sqrt(expected));
}

TEST(RealEntries, FollowTheirDistributions) {
  for (const std::int64_t first : {0, 1000, 77777}) {
    const Array normal = expand(DenseDistribution::gaussian, first, 3 * first, 100, 2000), uniform = expand(DenseDistribution::uniform, first, 3 * first, 100, 2000);
    std::vector<double> normals, uniforms;
    for (std::int64_t v = 0; v < 100; ++v) {
      for (std::int64_t e = 0; e < 2000; ++e) normals.push_back(normal.at(v, e)), uniforms.push_back(uniform.at(v, e));
    }
    EXPECT_LT(test::kolmogorov(normals, test::normal_distribution), 1.95) << first;
    EXPECT_LT(test::kolmogorov(uniforms, [](double x) { return 0.5 + x / (2 * std::sqrt(3.0)); }), 1.95) << first;
    EXPECT_LT(*std::max_element(uniforms.begin(), uniforms.end()), std::sqrt(3.0));
    EXPECT_GT(*std::min_element(uniforms.begin(), uniforms.end()), -std::sqrt(3.0));
  }
}

// Correlations of values, of squares and of signs between an entry and the entries that share its block, its row or its column: each is a
// mean of independent terms of variance at most 4 (the product of two centred squares).
TEST(Gaussian, NeighboursAreIndependent) {
  const Array x = expand(DenseDistribution::gaussian, 0, 0, kVectors, kElements);
  for (const auto& [down, right] : {std::pair<std::int64_t, std::int64_t>{0, 1}, {0, 2}, {0, 3}, {0, 4}, {1, 0}, {1, 1}, {2, 0}, {128, 0}}) {
    double values = 0, squares = 0, signs = 0, count = 0;
    for (std::int64_t v = 0; v + down < kVectors; ++v) {
      for (std::int64_t e = 0; e + right < kElements; ++e) {
        const double a = x.at(v, e), b = x.at(v + down, e + right);
        values += a * b, squares += (a * a - 1) * (b * b - 1), signs += (a > 0) == (b > 0) ? 1 : -1, ++count;
      }
    }
    EXPECT_LT(std::abs(values) / std::sqrt(count), 5) << down << "," << right;
    EXPECT_LT(std::abs(squares) / std::sqrt(4 * count), 5) << down << "," << right;
    EXPECT_LT(std::abs(signs) / std::sqrt(count), 5) << down << "," << right;
  }
}

/// Squared diagonal of R of S Q (k x m) by Gram and Schmidt, Q the first cosine vectors of length n.
std::vector<double> squared_diagonal(const Array& s, std::int64_t m) {
  const std::int64_t k = s.view.shape[0], n = s.view.shape[1];
  std::vector<std::vector<double>> columns;
  std::vector<double> result;
  for (std::int64_t j = 0; j < m; ++j) {
    std::vector<double> y(static_cast<std::size_t>(k));
    for (std::int64_t p = 0; p < n; ++p) {
      const double q = std::sqrt((j == 0 ? 1.0 : 2.0) / static_cast<double>(n)) * std::cos(std::numbers::pi * (static_cast<double>(p) + 0.5) * static_cast<double>(j) / static_cast<double>(n));
      for (std::int64_t i = 0; i < k; ++i) y[static_cast<std::size_t>(i)] += s.at(i, p) * q;
    }
    for (const auto& other : columns) {
      double dot = 0;
      for (std::size_t i = 0; i < y.size(); ++i) dot += y[i] * other[i];
      for (std::size_t i = 0; i < y.size(); ++i) y[i] -= dot * other[i];
    }
    double square = 0;
    for (const double value : y) square += value * value;
    for (double& value : y) value /= std::sqrt(square);
    columns.push_back(std::move(y));
    result.push_back(square);
  }
  return result;
}

// Bartlett: R_ii^2 of a Gaussian k x m matrix are independent, chi^2 with k - i degrees of freedom.
TEST(Gaussian, TriangularFactorFollowsBartlett) {
  constexpr std::int64_t k = 12, n = 32, m = 6, draws = 2000;
  std::vector<std::vector<double>> squares(m);
  for (std::uint64_t seed = 0; seed < draws; ++seed) {
    const auto sketch = make_sketch(test::sketch_spec("gaussian", k, n, seed));
    const std::vector<double> diagonal = squared_diagonal(test::materialized(*sketch, {}, {}, DType::f64), m);
    for (std::size_t i = 0; i < m; ++i) squares[i].push_back(diagonal[i]);
  }
  for (std::size_t i = 0; i < m; ++i) {
    const double freedom = static_cast<double>(k - static_cast<std::int64_t>(i));
    EXPECT_LT(test::kolmogorov(squares[i], [&](double x) { return test::chi_square_distribution(x, freedom); }), 1.95) << i;
  }
}

/// Largest and smallest eigenvalue of a symmetric matrix by Jacobi's rotations.
std::pair<double, double> extreme_eigenvalues(std::vector<std::vector<double>> a) {
  const std::size_t n = a.size();
  for (int sweep = 0; sweep < 12; ++sweep) {
    for (std::size_t p = 0; p < n; ++p) {
      for (std::size_t q = p + 1; q < n; ++q) {
        if (std::abs(a[p][q]) < 1e-300) continue;
        const double theta = (a[q][q] - a[p][p]) / (2 * a[p][q]), t = (theta < 0 ? -1 : 1) / (std::abs(theta) + std::sqrt(theta * theta + 1));
        const double c = 1 / std::sqrt(t * t + 1), s = t * c;
        for (std::size_t i = 0; i < n; ++i) {
          const double x = a[i][p], y = a[i][q];
          a[i][p] = c * x - s * y, a[i][q] = s * x + c * y;
        }
        for (std::size_t i = 0; i < n; ++i) {
          const double x = a[p][i], y = a[q][i];
          a[p][i] = c * x - s * y, a[q][i] = s * x + c * y;
        }
      }
    }
  }
  double low = a[0][0], high = a[0][0];
  for (std::size_t i = 0; i < n; ++i) low = std::min(low, a[i][i]), high = std::max(high, a[i][i]);
  return {low, high};
}

// Davidson and Szarek: all singular values of S Q / sqrt k (k x m) lie in 1 +- (sqrt(m / k) + t), t chosen for a failure of 1e-3 a seed.
TEST(Gaussian, EmbedsASubspace) {
  constexpr std::int64_t k = 300, n = 400, m = 30;
  const double t = std::sqrt(2 * std::log(2 / 1e-3) / k), radius = std::sqrt(static_cast<double>(m) / k) + t;
  for (std::uint64_t seed = 1; seed <= 4; ++seed) {
    const Array s = test::materialized(*make_sketch(test::sketch_spec("gaussian", k, n, seed)), {}, {}, DType::f64, 1 / std::sqrt(static_cast<double>(k)));
    std::vector<std::vector<double>> y(m, std::vector<double>(k)), gram(m, std::vector<double>(m));
    for (std::int64_t j = 0; j < m; ++j) {
      for (std::int64_t p = 0; p < n; ++p) {
        const double q = std::sqrt((j == 0 ? 1.0 : 2.0) / n) * std::cos(std::numbers::pi * (static_cast<double>(p) + 0.5) * static_cast<double>(j) / n);
        for (std::int64_t i = 0; i < k; ++i) y[static_cast<std::size_t>(j)][static_cast<std::size_t>(i)] += s.at(i, p) * q;
      }
    }
    for (std::size_t i = 0; i < m; ++i) {
      for (std::size_t j = 0; j < m; ++j) {
        for (std::size_t p = 0; p < k; ++p) gram[i][j] += y[i][p] * y[j][p];
      }
    }
    const auto [low, high] = extreme_eigenvalues(gram);
    EXPECT_GT(std::sqrt(low), 1 - radius);
    EXPECT_LT(std::sqrt(high), 1 + radius);
    EXPECT_GT(std::sqrt(high) - std::sqrt(low), std::sqrt(static_cast<double>(m) / k)) << "a random block spreads its singular values";
  }
}

}  // namespace
}  // namespace panther
