// How well a sketched layer can copy given weights, against closed forms. D = inputs, O = outputs, R = sketch size.
#include <gtest/gtest.h>

#include "kernels/kernel_set.h"
#include "tests/kernels/array.h"

namespace panther {
namespace {

using test::Array;

constexpr std::int64_t kInputs = 96, kOutputs = 64, kSize = 16;
constexpr int kDraws = 300;

Array multiply(const TensorView& a, const TensorView& b, double alpha = 1.0) {
  Array out = test::make_matrix(DType::f64, a.shape[0], b.shape[1]);
  cpu_kernels().gemm(alpha, a, b, 0.0, out.view, {}, {}, {});
  return out;
}

void subtract(Array& from, const Array& other) {
  for (std::int64_t i = 0; i < from.view.shape[0]; ++i) {
    for (std::int64_t j = 0; j < from.view.shape[1]; ++j) from.set(i, j, from.at(i, j) - other.at(i, j));
  }
}

double squared_norm(const Array& array) {
  double sum = 0;
  cpu_kernels().sum_of_squares(std::vector<TensorView>{array.view}, TensorView(&sum, DType::f64, {1}), {});
  return sum;
}

Array signs(std::uint64_t draw, std::string_view name, std::int64_t elements) {
  Array out = test::make_matrix(DType::f64, kSize, elements);
  cpu_kernels().sign_expand(SignKey::of(draw, name), 0, 0, 1.0, out.view, {});
  return out;
}

/// Inverse of a symmetric positive definite matrix by Gauss-Jordan elimination.
Array inverse(Array a) {
  const std::int64_t n = a.view.shape[0];
  Array result = test::make_matrix(DType::f64, n, n);
  for (std::int64_t i = 0; i < n; ++i) result.set(i, i, 1.0);
  for (std::int64_t p = 0; p < n; ++p) {
    const double pivot = a.at(p, p);
    for (std::int64_t j = 0; j < n; ++j) a.set(p, j, a.at(p, j) / pivot), result.set(p, j, result.at(p, j) / pivot);
    for (std::int64_t i = 0; i < n; ++i) {
      const double factor = a.at(i, p);
      if (i == p) continue;
      for (std::int64_t j = 0; j < n; ++j) a.set(i, j, a.at(i, j) - factor * a.at(p, j)), result.set(i, j, result.at(i, j) - factor * result.at(p, j));
    }
  }
  return result;
}

// S1 = W U1^T / (2 R), S2 = U2^T W / (2 R): unbiased, squared relative error (D + O - 2) / (4 R).
TEST(WeightError, UnbiasedCopy) {
  const Array w = test::random_matrix(DType::f64, kInputs, kOutputs, 1);
  double error = 0;
  Array mean = test::make_matrix(DType::f64, kInputs, kOutputs);
  for (std::uint64_t draw = 0; draw < kDraws; ++draw) {
    const Array u1 = signs(draw, "u1", kOutputs), u2t = signs(draw, "u2", kInputs);
    Array copy = multiply(multiply(w.view, u1.view.transposed()).view, u1.view, 0.5 / kSize);
    cpu_kernels().gemm(0.5 / kSize, u2t.view.transposed(), multiply(u2t.view, w.view).view, 1.0, copy.view, {}, {}, {});
    cpu_kernels().packed_sum(std::vector<TensorView>{mean.view, copy.view}, mean.view, {});
    subtract(copy, w);
    error += squared_norm(copy) / squared_norm(w) / kDraws;
  }
  const double expected = (kInputs + kOutputs - 2) / (4.0 * kSize);
  EXPECT_NEAR(error, expected, 0.02 * expected);
  cpu_kernels().scale(1.0 / kDraws, mean.view, {});
  subtract(mean, w);
  // The mean of n unbiased copies has 1/n of the squared error; its own spread over 6144 entries is a few per cent.
  EXPECT_NEAR(squared_norm(mean) / squared_norm(w) * kDraws, expected, 0.15 * expected);
}

// S1 = W U1^+, S2 = U2^+ (W - S1 U1): residual (I - P2) W (I - P1), squared relative error (1 - R/O)(1 - R/D). The kernels'
// products are compared with the explicit pseudo-inverse form at every draw.
TEST(WeightError, FittedCopy) {
  const Array w = test::random_matrix(DType::f64, kInputs, kOutputs, 1);
  double error = 0;
  for (std::uint64_t draw = 0; draw < kDraws; ++draw) {
    const Array u1 = signs(draw, "u1", kOutputs), u2t = signs(draw, "u2", kInputs);
    const Array u1_plus = multiply(u1.view.transposed(), inverse(multiply(u1.view, u1.view.transposed())).view);
    const Array u2_plus = multiply(inverse(multiply(u2t.view, u2t.view.transposed())).view, u2t.view);
    const Array s1 = multiply(w.view, u1_plus.view);
    Array residual = w;
    cpu_kernels().gemm(-1.0, s1.view, u1.view, 1.0, residual.view, {}, {}, {});
    const Array s2 = multiply(u2_plus.view, residual.view);
    cpu_kernels().gemm(-1.0, u2t.view.transposed(), s2.view, 1.0, residual.view, {}, {}, {});
    error += squared_norm(residual) / squared_norm(w) / kDraws;
    // What is left is orthogonal to both sketches.
    EXPECT_LT(squared_norm(multiply(residual.view, u1.view.transposed())), 1e-18 * squared_norm(w));
    EXPECT_LT(squared_norm(multiply(u2t.view, residual.view)), 1e-18 * squared_norm(w));
  }
  const double expected = (1.0 - static_cast<double>(kSize) / kOutputs) * (1.0 - static_cast<double>(kSize) / kInputs);
  EXPECT_NEAR(error, expected, 0.02 * expected);
}

}  // namespace
}  // namespace panther
