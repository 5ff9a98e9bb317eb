#pragma once
// Statistics of random tests: samples, Kolmogorov's distance, distribution functions.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

namespace panther::test {

/// Sums of powers of a sample, for the mean, the variance and their own standard errors.
struct Sample {
  double count = 0, first = 0, second = 0, third = 0, fourth = 0;
  void add(double x) { ++count, first += x, second += x * x, third += x * x * x, fourth += x * x * x * x; }
  double mean() const { return first / count; }
  double variance() const { return second / count - mean() * mean(); }
  double mean_error() const { return std::sqrt(variance() / count); }
  double variance_error() const {
    const double m = mean(), fourth_central = fourth / count - 4 * m * third / count + 6 * m * m * second / count - 3 * m * m * m * m;
    return std::sqrt((fourth_central - variance() * variance()) / count);
  }
};

/// sqrt(n) sup |F_n - F|. Above 1.95 with probability 1e-3 when F is the distribution, above 2.23 with 1e-4 (Kolmogorov).
template <class Distribution>
double kolmogorov(std::vector<double> values, const Distribution& distribution) {
  std::sort(values.begin(), values.end());
  const auto n = static_cast<double>(values.size());
  double distance = 0;
  for (std::size_t i = 0; i < values.size(); ++i) {
    const double f = distribution(values[i]);
    distance = std::max({distance, f - static_cast<double>(i) / n, static_cast<double>(i + 1) / n - f});
  }
  return distance * std::sqrt(n);
}

inline double normal_distribution(double x) { return 0.5 * std::erfc(-x / std::sqrt(2.0)); }

/// P(chi^2 with `freedom` degrees <= x): the series of the regularised incomplete gamma function (Abramowitz, Stegun 6.5.29).
inline double chi_square_distribution(double x, double freedom) {
  const double a = freedom / 2, z = x / 2;
  double term = 1 / a, sum = term;
  for (int i = 1; i < 2000 && term > 1e-17 * sum; ++i) sum += term *= z / (a + i);
  return sum * std::exp(a * std::log(z) - z - std::lgamma(a));
}

}  // namespace panther::test
