#include "kernels/linear/sketched_linear.h"

#include <gtest/gtest.h>

#include "core/error.h"
#include "tests/kernels/array.h"

namespace panther {
namespace {

using test::Array;

const KernelSet& kernels() { return cpu_kernels(); }

struct Layer {
  std::int64_t inputs, outputs, size;
  Array pt, q;
  double alpha;

  Layer(DType dtype, std::int64_t d, std::int64_t o, std::int64_t r, std::uint64_t seed)
      : inputs(d), outputs(o), size(r), pt(test::random_matrix(dtype, 2 * r, d, seed)), q(test::random_matrix(dtype, 2 * r, o, seed + 1)),
        alpha(0.5 / std::sqrt(static_cast<double>(r))) {
    expand_sketched_linear_signs(kernels(), seed, "layer", weights(), {});
  }
  SketchedLinearWeights weights() const { return {pt.view, q.view, alpha}; }

  /// W = alpha (S1 U1 + U2 S2) entry by entry.
  double dense(std::int64_t i, std::int64_t j) const {
    double sum = 0;
    for (std::int64_t r = 0; r < 2 * size; ++r) sum += pt.at(r, i) * q.at(r, j);
    return alpha * sum;
  }
};

struct Forward {
  Array h, y;
};

Forward run_forward(const Layer& layer, const Array& x, const Array& bias) {
  const DType dtype = x.view.dtype;
  Forward out{test::make_matrix(dtype, x.view.shape[0], 2 * layer.size), test::make_matrix(dtype, x.view.shape[0], layer.outputs)};
  sketched_linear_forward(kernels(), layer.weights(), x.view, bias.view, out.h.view, out.y.view, {}, {});
  return out;
}

TEST(SketchedLinear, EqualsTheDenseProduct) {
  for (const auto& [rows, inputs, outputs, size] : {std::array<std::int64_t, 4>{1, 5, 3, 1}, {9, 24, 17, 4}, {40, 33, 65, 16}}) {
    const Layer layer(DType::f64, inputs, outputs, size, 3);
    const Array x = test::random_matrix(DType::f64, rows, inputs, 5), bias = test::random_vector(DType::f64, outputs, 6);
    const Forward out = run_forward(layer, x, bias);
    for (std::int64_t b = 0; b < rows; ++b) {
      for (std::int64_t j = 0; j < outputs; ++j) {
        double expected = bias.at(j);
        for (std::int64_t i = 0; i < inputs; ++i) expected += x.at(b, i) * layer.dense(i, j);
        ASSERT_NEAR(out.y.at(b, j), expected, 1e-12);
      }
    }
  }
}

// Section 5.3 of the design: relative to the norms of the factors, 1e-6 in f32 and 3 * 2^-8 in bf16.
TEST(SketchedLinear, LowPrecisionStaysWithinItsBound) {
  constexpr std::int64_t rows = 64, inputs = 128, outputs = 96, size = 16;
  for (const auto& [dtype, tolerance] : {std::pair{DType::f32, 1e-6}, std::pair{DType::bf16, 3.0 / 256}}) {
    const Layer layer(dtype, inputs, outputs, size, 3);
    const Array x = test::random_matrix(dtype, rows, inputs, 5);
    const Forward out = run_forward(layer, x, Array{});
    double error = 0, x_norm = 0, p_norm = 0, q_norm = 0;
    for (std::int64_t b = 0; b < rows; ++b) {
      for (std::int64_t j = 0; j < outputs; ++j) {
        double expected = 0;
        for (std::int64_t i = 0; i < inputs; ++i) expected += x.at(b, i) * layer.dense(i, j);
        error += std::pow(out.y.at(b, j) - expected, 2);
      }
      for (std::int64_t i = 0; i < inputs; ++i) x_norm += std::pow(x.at(b, i), 2);
    }
    for (std::int64_t r = 0; r < 2 * size; ++r) {
      for (std::int64_t i = 0; i < inputs; ++i) p_norm += std::pow(layer.pt.at(r, i), 2);
      for (std::int64_t j = 0; j < outputs; ++j) q_norm += std::pow(layer.q.at(r, j), 2);
    }
    EXPECT_LE(std::sqrt(error), tolerance * layer.alpha * std::sqrt(x_norm * p_norm * q_norm)) << dtype_name(dtype);
  }
}

TEST(SketchedLinear, SignsFillTheFixedHalvesAlone) {
  Layer layer(DType::f32, 70, 50, 6, 21);
  const Layer untouched = layer;
  expand_sketched_linear_signs(kernels(), 99, "blocks.1.mlp.up", layer.weights(), {});
  const SignKey u1 = SignKey::of(99, "blocks.1.mlp.up.u1"), u2 = SignKey::of(99, "blocks.1.mlp.up.u2");
  for (std::int64_t r = 0; r < 6; ++r) {
    for (std::int64_t i = 0; i < 70; ++i) {
      EXPECT_EQ(layer.pt.at(r, i), untouched.pt.at(r, i));
      EXPECT_EQ(layer.pt.at(6 + r, i), sign_is_negative(u2, static_cast<std::uint32_t>(r), static_cast<std::uint32_t>(i)) ? -1.0 : 1.0);
    }
    for (std::int64_t j = 0; j < 50; ++j) {
      EXPECT_EQ(layer.q.at(6 + r, j), untouched.q.at(6 + r, j));
      EXPECT_EQ(layer.q.at(r, j), sign_is_negative(u1, static_cast<std::uint32_t>(r), static_cast<std::uint32_t>(j)) ? -1.0 : 1.0);
    }
  }
}

struct Gradients {
  Array dx, ds1, ds2, dh;
};

Gradients run_backward(const Layer& layer, const Array& x, const Array& h, const Array& dy, double accumulate, Gradients out) {
  const TensorView h2 = h.view.transposed().slice(layer.size, layer.size).transposed();
  sketched_linear_backward(kernels(), layer.weights(), x.view, h2, dy.view, out.dh.view, {out.dx.view, out.ds1.view, out.ds2.view, accumulate}, {}, {});
  return out;
}

Gradients make_gradients(const Layer& layer, std::int64_t rows) {
  return {test::random_matrix(DType::f64, rows, layer.inputs, 31), test::random_matrix(DType::f64, layer.size, layer.inputs, 32),
          test::random_matrix(DType::f64, layer.size, layer.outputs, 33), test::make_matrix(DType::f64, rows, 2 * layer.size)};
}

/// sum(dy * y): its derivatives are what backward returns.
double objective(const Layer& layer, const Array& x, const Array& dy) {
  const Forward out = run_forward(layer, x, Array{});
  double sum = 0;
  for (std::int64_t b = 0; b < x.view.shape[0]; ++b) {
    for (std::int64_t j = 0; j < layer.outputs; ++j) sum += dy.at(b, j) * out.y.at(b, j);
  }
  return sum;
}

double slope(const Layer& layer, const Array& x, const Array& dy, Array& varied, std::int64_t i, std::int64_t j) {
  constexpr double step = 1e-4;
  const double value = varied.at(i, j);
  varied.set(i, j, value + step);
  const double above = objective(layer, x, dy);
  varied.set(i, j, value - step);
  const double below = objective(layer, x, dy);
  varied.set(i, j, value);
  return (above - below) / (2 * step);
}

// The objective is linear in each of x, S1 and S2 alone, so central differences carry rounding only: about 1e-16 / 1e-4.
TEST(SketchedLinear, GradientsMatchFiniteDifferences) {
  Layer layer(DType::f64, 11, 7, 3, 4);
  Array x = test::random_matrix(DType::f64, 5, 11, 5);
  const Array dy = test::random_matrix(DType::f64, 5, 7, 6);
  const Gradients g = run_backward(layer, x, run_forward(layer, x, Array{}).h, dy, 0.0, make_gradients(layer, 5));
  for (std::int64_t r = 0; r < 3; ++r) {
    for (std::int64_t i = 0; i < 11; ++i) EXPECT_NEAR(g.ds1.at(r, i), slope(layer, x, dy, layer.pt, r, i), 1e-7);
    for (std::int64_t j = 0; j < 7; ++j) EXPECT_NEAR(g.ds2.at(r, j), slope(layer, x, dy, layer.q, 3 + r, j), 1e-7);
  }
  for (std::int64_t b = 0; b < 5; ++b) {
    for (std::int64_t i = 0; i < 11; ++i) EXPECT_NEAR(g.dx.at(b, i), slope(layer, x, dy, x, b, i), 1e-7);
  }
}

// dS1 = alpha (dW U1^T)^T, dS2 = alpha U2^T dW, dx = dy W^T with the dense dW = x^T dy.
TEST(SketchedLinear, GradientsAreTheSketchOfTheDenseOne) {
  const Layer layer(DType::f64, 23, 31, 5, 4);
  const Array x = test::random_matrix(DType::f64, 12, 23, 5), dy = test::random_matrix(DType::f64, 12, 31, 6);
  const Gradients g = run_backward(layer, x, run_forward(layer, x, Array{}).h, dy, 0.0, make_gradients(layer, 12));
  const auto dense_gradient = [&](std::int64_t i, std::int64_t j) {
    double sum = 0;
    for (std::int64_t b = 0; b < 12; ++b) sum += x.at(b, i) * dy.at(b, j);
    return sum;
  };
  for (std::int64_t r = 0; r < 5; ++r) {
    for (std::int64_t i = 0; i < 23; ++i) {
      double expected = 0;
      for (std::int64_t j = 0; j < 31; ++j) expected += layer.alpha * dense_gradient(i, j) * layer.q.at(r, j);
      EXPECT_NEAR(g.ds1.at(r, i), expected, 1e-12);
    }
    for (std::int64_t j = 0; j < 31; ++j) {
      double expected = 0;
      for (std::int64_t i = 0; i < 23; ++i) expected += layer.alpha * layer.pt.at(5 + r, i) * dense_gradient(i, j);
      EXPECT_NEAR(g.ds2.at(r, j), expected, 1e-12);
    }
  }
  for (std::int64_t b = 0; b < 12; ++b) {
    for (std::int64_t i = 0; i < 23; ++i) {
      double expected = 0;
      for (std::int64_t j = 0; j < 31; ++j) expected += dy.at(b, j) * layer.dense(i, j);
      EXPECT_NEAR(g.dx.at(b, i), expected, 1e-12);
    }
  }
}

TEST(SketchedLinear, AccumulatesIntoBucketsAndSkipsDx) {
  const Layer layer(DType::f64, 9, 8, 2, 4);
  const Array x = test::random_matrix(DType::f64, 6, 9, 5), dy = test::random_matrix(DType::f64, 6, 8, 6);
  const Array h = run_forward(layer, x, Array{}).h;
  const Gradients before = make_gradients(layer, 6), fresh = run_backward(layer, x, h, dy, 0.0, before), added = run_backward(layer, x, h, dy, 1.0, before);
  Gradients without = before;
  without.dx = Array{};
  without = run_backward(layer, x, h, dy, 0.0, without);
  for (std::int64_t r = 0; r < 2; ++r) {
    for (std::int64_t i = 0; i < 9; ++i) {
      EXPECT_NEAR(added.ds1.at(r, i), before.ds1.at(r, i) + fresh.ds1.at(r, i), 1e-14);
      EXPECT_EQ(without.ds1.at(r, i), fresh.ds1.at(r, i));
    }
    for (std::int64_t j = 0; j < 8; ++j) EXPECT_NEAR(added.ds2.at(r, j), before.ds2.at(r, j) + fresh.ds2.at(r, j), 1e-14);
  }
}

TEST(SketchedLinear, SaysWhichShapeIsWrong) {
  const Layer layer(DType::f32, 9, 8, 2, 4);
  const Array x = test::random_matrix(DType::f32, 6, 10, 5);
  Array h = test::make_matrix(DType::f32, 6, 4), y = test::make_matrix(DType::f32, 6, 8);
  try {
    sketched_linear_forward(kernels(), layer.weights(), x.view, {}, h.view, y.view, {}, {});
    FAIL() << "no error for 10 inputs into a layer of 9";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::InvalidArgument);
    EXPECT_NE(error.message().find("x must be [6, 9]"), std::string::npos) << error.message();
  }
}

}  // namespace
}  // namespace panther
