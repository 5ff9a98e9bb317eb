// Our own polynomials against libm in f64.
#include "kernels/element/activation.h"

#include <gtest/gtest.h>

#include "kernels/linear/linear_kernels.h"
#include "tests/kernels/array.h"

namespace panther {
namespace {

using test::Array;

double reference(Activation kind, double x) {
  switch (kind) {
    case Activation::none: return x;
    case Activation::relu: return x > 0 ? x : 0;
    case Activation::gelu: return x * 0.5 * std::erfc(-x / std::sqrt(2.0));
    case Activation::gelu_tanh: return 0.5 * x * (1 + std::tanh(std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)));
  }
  return 0;
}

constexpr Activation kAll[] = {Activation::none, Activation::relu, Activation::gelu, Activation::gelu_tanh};

TEST(Activation, ExpAndErfAreAccurateInF32) {
  double worst_exp = 0, worst_erf = 0;
  for (int i = -87000; i <= 88000; ++i) {
    const float x = static_cast<float>(i) * 1e-3f;
    const double expected = std::exp(static_cast<double>(x));
    worst_exp = std::max(worst_exp, std::abs(exp_of(x) - expected) / expected);
  }
  for (int i = -60000; i <= 60000; ++i) {
    const float x = static_cast<float>(i) * 1e-4f;
    if (i == 0) continue;
    const double expected = std::erf(static_cast<double>(x));
    worst_erf = std::max(worst_erf, std::abs(erf_of(x) - expected) / std::abs(expected));
  }
  EXPECT_LT(worst_exp, 2 * 0x1p-23);
  EXPECT_LT(worst_erf, 2 * 0x1p-23);
  EXPECT_EQ(erf_of(0.0f), 0.0f);
  EXPECT_EQ(exp_of(-200.0f), 0.0f);
}

// f32: a few roundings of values up to max(1, |x|), times |x|.
TEST(Activation, ValuesMatchTheirFormulas) {
  for (const Activation kind : kAll) {
    for (int i = -20000; i <= 20000; ++i) {
      const double x = i * 1e-3;
      const float single = static_cast<float>(x);
      ASSERT_NEAR(activate(kind, x), reference(kind, x), 4e-16 * std::max(1.0, std::abs(x))) << x;
      ASSERT_NEAR(activate(kind, single), reference(kind, single), 6e-7 * std::max(1.0, std::abs(x))) << x;
    }
  }
}

TEST(Activation, SlopesMatchDifferences) {
  for (const Activation kind : kAll) {
    for (int i = -8001; i <= 8000; i += 2) {  // never 0, where relu has no slope
      const double x = i * 1e-3, h = 1e-5;
      const double expected = (reference(kind, x + h) - reference(kind, x - h)) / (2 * h);
      ASSERT_NEAR(slope(kind, x), expected, 1e-9) << x;
      ASSERT_NEAR(slope(kind, static_cast<float>(x)), expected, 2e-6) << x;
    }
  }
}

TEST(Activation, NonFiniteValuesStayVisible) {
  for (const Activation kind : kAll) {
    EXPECT_TRUE(std::isnan(activate(kind, std::numeric_limits<float>::quiet_NaN())));
    EXPECT_EQ(activate(kind, std::numeric_limits<float>::infinity()), std::numeric_limits<float>::infinity());
  }
}

// dz = dy slope(aux), dbias = column sums: every dtype, odd sizes, accumulation, in place.
TEST(ActivationBackward, MatchesTheFormula) {
  const LinearKernels& table = *cpu_kernels().linear;
  for (const DType dtype : {DType::f64, DType::f32, DType::bf16, DType::f16}) {
    const double unit = std::max(test::unit_roundoff(dtype), dtype == DType::f64 ? 0.0 : 0x1p-24);
    for (const Activation kind : kAll) {
      for (const auto& [rows, columns] : {std::pair<std::int64_t, std::int64_t>{1, 1}, {3, 257}, {131, 300}}) {
        const Array dy = test::random_matrix(dtype, rows, columns, 1), aux = test::random_matrix(dtype, rows, columns, 2);
        const Array before = test::random_vector(dtype, columns, 3);
        for (const double beta : {0.0, 1.0}) {
          Array dz = dy, dbias = before;
          table.activation_backward({kind, dz.view, aux.view, dz.view, dbias.view, beta}, {});
          for (std::int64_t j = 0; j < columns; ++j) {
            double sum = beta * before.at(j);
            for (std::int64_t i = 0; i < rows; ++i) {
              const double expected = dy.at(i, j) * slope(kind, aux.at(i, j));
              ASSERT_NEAR(dz.at(i, j), expected, (2 * unit + (dtype == DType::f64 ? 1e-15 : 2e-6)));
              sum += expected;
            }
            ASSERT_NEAR(dbias.at(j), sum, unit * 2 * std::abs(sum) + static_cast<double>(rows) * (dtype == DType::f64 ? 1e-15 : 2e-6) + 1e-3 * unit);
          }
        }
      }
    }
  }
}

}  // namespace
}  // namespace panther
