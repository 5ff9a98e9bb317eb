// Every path of the layer against the dense layer with W = alpha (S1 U1 + U2 S2), in f64 (design, table B 15 and 16).
#include <gtest/gtest.h>

#include "core/error.h"
#include "core/text.h"
#include "kernels/linear/cached_weight.h"
#include "tests/kernels/sketched_layer.h"

namespace panther {
namespace {

using test::Array;
using test::SketchedLayer;

/// One way through the layer.
struct Way {
  const char* name;
  LinearPath path;
  bool own, cached, dense_gradient;
};
constexpr Way kWays[] = {{"chain of library products", LinearPath::chain, false, false, false}, {"chain of our products", LinearPath::chain, true, false, false},
                         {"fused", LinearPath::fused, true, false, false},                       {"dense", LinearPath::dense, false, false, false},
                         {"dense through dW", LinearPath::dense, false, false, true},            {"dense, cached", LinearPath::dense, false, true, false}};

struct Size {
  std::int64_t rows, inputs, outputs, size;
};
constexpr Size kSizes[] = {{1, 5, 3, 1}, {1, 300, 70, 9}, {9, 24, 17, 4}, {37, 33, 65, 16}, {70, 129, 64, 40}};

LinearChoice choice_of(const Way& way) {
  LinearChoice choice;
  choice.path = way.path;
  choice.own = {way.own, way.own, way.own, way.own};
  choice.dense_gradient = way.dense_gradient;
  return choice;
}

/// Relative to the norms of what was multiplied: table B 15 for f64 and f32, design section 5.3 for the others (f16 rounds to 11 bits).
double tolerance(DType dtype) {
  switch (dtype) {
    case DType::f64: return 1e-12;
    case DType::f32: return 1e-6;
    case DType::bf16: return 3.0 / 256;
    case DType::f16: return 3.0 / 2048;
    case DType::i64: case DType::i32: case DType::u8: return 0;
  }
  return 0;
}

struct Results {
  Array h, y, dx, ds1, ds2, dbias, dh, dz, aux;
  double step = 0;
};

struct Case {
  const SketchedLayer& layer;
  Array x, dy, bias;
  Activation activation = Activation::none;
  double accumulate = 0;
};

constexpr double kBucket = 0.25;  // what gradient buckets hold before

Results run(const Case& c, const Way& way, SignStorage storage) {
  const DType dtype = c.x.view.dtype;
  const std::int64_t rows = c.x.view.shape[0], size = c.layer.size;
  const SketchedLinearWeights weights = c.layer.weights(storage);
  LinearChoice choice = choice_of(way);
  LinearProblem problem = sketched_linear_problem(weights, rows, LinearPass::backward);
  std::vector<std::byte> workspace(sketched_linear_workspace_bytes(problem, choice));
  const LinearLaunch launch{cpu_kernels(), workspace, {}};
  CachedWeight cache(plain_allocator());
  const TensorView dense = way.cached ? cache.get({cpu_kernels(), {}, {}}, weights) : TensorView{};
  Results r{test::make_matrix(dtype, rows, 2 * size), test::make_matrix(dtype, rows, c.layer.outputs), test::random_matrix(dtype, rows, c.layer.inputs, 9),
        test::make_matrix(dtype, size, c.layer.inputs), test::make_matrix(dtype, size, c.layer.outputs), test::make_vector(dtype, c.layer.outputs),
        test::make_matrix(dtype, rows, 2 * size), test::make_matrix(dtype, rows, c.layer.outputs), test::make_matrix(dtype, rows, c.layer.outputs)};
  for (Array* bucket : {&r.ds1, &r.ds2}) {
    for (std::int64_t i = 0; i < size; ++i) {
      for (std::int64_t j = 0; j < bucket->view.shape[1]; ++j) bucket->set(i, j, kBucket);
    }
  }
  for (std::int64_t j = 0; j < c.layer.outputs; ++j) r.dbias.set(j, kBucket);
  const bool activated = c.activation != Activation::none;
  sketched_linear_forward(launch, weights, {c.x.view, r.h.view, r.y.view, {c.bias.view, c.activation, activated ? r.aux.view : TensorView{}}, dense}, choice);
  const TensorView h2 = r.h.view.transposed().slice(size, size).transposed();
  sketched_linear_backward(launch, weights, {c.x.view, h2, c.dy.view, r.dh.view, c.activation, r.aux.view, r.dz.view, dense},
                           {r.dx.view, r.ds1.view, r.ds2.view, c.accumulate, r.dbias.view}, choice);
  return r;
}

struct Expected {
  Array y, dx, ds1, ds2, dbias;
};

/// The dense layer: z = x W + b, y = act(z), dW = x^T dz, dS1^T = alpha dW U1^T, dS2 = alpha U2^T dW.
Expected expect(const Case& c) {
  const Array w = c.layer.dense();
  Array z = multiply(c.x, w), dz = z;
  Expected e{z, {}, {}, {}, test::make_matrix(DType::f64, 1, c.layer.outputs)};
  for (std::int64_t j = 0; j < c.layer.outputs; ++j) {
    double sum = c.accumulate * kBucket;
    for (std::int64_t i = 0; i < z.view.shape[0]; ++i) {
      z.set(i, j, z.at(i, j) + c.bias.at(j));
      e.y.set(i, j, activate(c.activation, z.at(i, j)));
      dz.set(i, j, c.dy.at(i, j) * slope(c.activation, z.at(i, j)));
      sum += dz.at(i, j);
    }
    e.dbias.set(0, j, sum);
  }
  e.dx = multiply(dz, test::transposed(w));
  const Array dw = multiply(test::transposed(c.x), dz);
  const auto half = [](const Array& packed, std::int64_t first, std::int64_t count) {
    Array out = test::make_matrix(DType::f64, count, packed.view.shape[1]);
    for (std::int64_t i = 0; i < count; ++i) {
      for (std::int64_t j = 0; j < packed.view.shape[1]; ++j) out.set(i, j, packed.at(first + i, j));
    }
    return out;
  };
  e.ds1 = multiply(half(c.layer.q, 0, c.layer.size), test::transposed(dw));
  e.ds2 = multiply(half(c.layer.pt, c.layer.size, c.layer.size), dw);
  for (Array* gradient : {&e.ds1, &e.ds2}) {
    for (std::int64_t i = 0; i < c.layer.size; ++i) {
      for (std::int64_t j = 0; j < gradient->view.shape[1]; ++j) gradient->set(i, j, c.layer.alpha * gradient->at(i, j) + c.accumulate * kBucket);
    }
  }
  return e;
}

void expect_equal(const Case& c, const Results& r, const Expected& e, const std::string& what) {
  const double t = tolerance(c.x.view.dtype), alpha = c.layer.alpha;
  const double x = norm(c.x), g = norm(c.dy) * 1.13, p = norm(c.layer.pt), q = norm(c.layer.q), rest = 2 + norm(e.ds1) + norm(e.ds2);
  EXPECT_LE(distance(r.y, e.y, 1.13 * (alpha * x * p * q + norm(e.y) + 1)), t) << what;
  EXPECT_LE(distance(r.dx, e.dx, alpha * g * p * q + 1), t) << what;
  EXPECT_LE(distance(r.ds1, e.ds1, alpha * x * g * q + rest), t) << what;
  EXPECT_LE(distance(r.ds2, e.ds2, alpha * x * g * p + rest), t) << what;
  Array dbias = test::make_matrix(DType::f64, 1, c.layer.outputs);
  for (std::int64_t j = 0; j < c.layer.outputs; ++j) dbias.set(0, j, r.dbias.at(j));
  EXPECT_LE(distance(dbias, e.dbias, g * std::sqrt(static_cast<double>(c.x.view.shape[0])) + norm(e.dbias)), t) << what;
}

TEST(LinearPaths, AllEqualTheDenseLayer) {
  for (const DType dtype : {DType::f64, DType::f32, DType::bf16, DType::f16}) {
    for (const auto& [rows, inputs, outputs, size] : kSizes) {
      const SketchedLayer layer(dtype, inputs, outputs, size, 3);
      const Case c{layer, test::random_matrix(dtype, rows, inputs, 5), test::random_matrix(dtype, rows, outputs, 6), test::random_vector(dtype, outputs, 7)};
      const Expected expected = expect(c);
      for (const Way& way : kWays) {
        for (const SignStorage storage : test::kStorages) {
          expect_equal(c, run(c, way, storage), expected,
                       concat(way.name, " ", dtype_name(dtype), " B=", rows, " D=", inputs, " O=", outputs, " R=", size, " storage ", static_cast<int>(storage)));
        }
      }
    }
  }
}

TEST(LinearPaths, ActivationsAndBucketsOnEveryPath) {
  for (const DType dtype : {DType::f64, DType::f32}) {
    const SketchedLayer layer(dtype, 33, 65, 6, 3);
    for (const Activation kind : {Activation::relu, Activation::gelu, Activation::gelu_tanh}) {
      const Case c{layer, test::random_matrix(dtype, 19, 33, 5), test::random_matrix(dtype, 19, 65, 6), test::random_vector(dtype, 65, 7), kind, 1.0};
      const Expected expected = expect(c);
      for (const Way& way : kWays) {
        for (const SignStorage storage : test::kStorages) expect_equal(c, run(c, way, storage), expected, concat(way.name, " activation ", static_cast<int>(kind)));
      }
    }
  }
}

// The objective sum(dy * y) through GELU and bias; central differences in f64.
TEST(LinearPaths, GradientsMatchFiniteDifferences) {
  SketchedLayer layer(DType::f64, 11, 7, 3, 4);
  Case c{layer, test::random_matrix(DType::f64, 5, 11, 5), test::random_matrix(DType::f64, 5, 7, 6), test::random_vector(DType::f64, 7, 7), Activation::gelu};
  const auto objective = [&] {
    const Results r = run(c, kWays[0], SignStorage::expanded);
    double sum = 0;
    for (std::int64_t i = 0; i < 5; ++i) {
      for (std::int64_t j = 0; j < 7; ++j) sum += c.dy.at(i, j) * r.y.at(i, j);
    }
    return sum;
  };
  const auto difference = [&](Array& varied, std::int64_t i, std::int64_t j) {
    constexpr double step = 1e-5;
    const double value = varied.at(i, j);
    varied.set(i, j, value + step);
    const double above = objective();
    varied.set(i, j, value - step);
    const double below = objective();
    varied.set(i, j, value);
    return (above - below) / (2 * step);
  };
  for (const Way& way : kWays) {
    const Results r = run(c, way, SignStorage::expanded);
    for (std::int64_t s = 0; s < 3; ++s) {
      for (std::int64_t i = 0; i < 11; ++i) EXPECT_NEAR(r.ds1.at(s, i), difference(layer.pt, s, i), 1e-7) << way.name;
      for (std::int64_t j = 0; j < 7; ++j) EXPECT_NEAR(r.ds2.at(s, j), difference(layer.q, 3 + s, j), 1e-7) << way.name;
    }
    for (std::int64_t b = 0; b < 5; ++b) {
      for (std::int64_t i = 0; i < 11; ++i) EXPECT_NEAR(r.dx.at(b, i), difference(c.x, b, i), 1e-7) << way.name;
    }
  }
}

// SK(L, r) = SK(1, L r): the terms of L small sketches side by side are one sketch.
TEST(LinearPaths, TermsAreOneSketch) {
  const SketchedLayer whole(DType::f64, 30, 20, 6, 3);
  const Array x = test::random_matrix(DType::f64, 7, 30, 5);
  const SketchedLinearWeights all = whole.weights(SignStorage::expanded);
  Array h = test::make_matrix(DType::f64, 7, 12), y = test::make_matrix(DType::f64, 7, 20), sum = test::make_matrix(DType::f64, 7, 20);
  sketched_linear_forward({cpu_kernels(), {}, {}}, all, {x.view, h.view, y.view, {}}, choice_of(kWays[0]));
  for (std::int64_t term = 0; term < 3; ++term) {
    Array pt = test::make_matrix(DType::f64, 4, 30), q = test::make_matrix(DType::f64, 4, 20), part = test::make_matrix(DType::f64, 7, 20);
    for (std::int64_t r = 0; r < 4; ++r) {
      const std::int64_t from = (r / 2) * 6 + 2 * term + r % 2;
      for (std::int64_t i = 0; i < 30; ++i) pt.set(r, i, whole.pt.at(from, i));
      for (std::int64_t j = 0; j < 20; ++j) q.set(r, j, whole.q.at(from, j));
    }
    Array h_term = test::make_matrix(DType::f64, 7, 4);
    sketched_linear_forward({cpu_kernels(), {}, {}}, {pt.view, q.view, whole.alpha}, {x.view, h_term.view, part.view, {}}, choice_of(kWays[1]));
    for (std::int64_t i = 0; i < 7; ++i) {
      for (std::int64_t j = 0; j < 20; ++j) sum.set(i, j, sum.at(i, j) + part.at(i, j));
    }
  }
  EXPECT_LE(distance(y, sum, norm(y)), 1e-12);
}

TEST(CachedWeight, FollowsInvalidationAndKeepsMemory) {
  SketchedLayer layer(DType::f64, 9, 8, 2, 4);
  CachedWeight cache(plain_allocator());
  const LinearLaunch launch{cpu_kernels(), {}, {}};
  EXPECT_FALSE(cache.valid());
  const TensorView first = cache.get(launch, layer.weights(SignStorage::expanded));
  EXPECT_TRUE(cache.valid());
  const double before = layer.dense().at(3, 4);
  EXPECT_NEAR(first.as<double>()[3 * 8 + 4], before, 1e-14);
  layer.pt.set(0, 3, layer.pt.at(0, 3) + 1);
  EXPECT_NEAR(cache.get(launch, layer.weights(SignStorage::expanded)).as<double>()[3 * 8 + 4], before, 1e-14) << "stale until invalidated";
  cache.invalidate();
  const TensorView again = cache.get(launch, layer.weights(SignStorage::expanded));
  EXPECT_EQ(again.data, first.data);
  EXPECT_NEAR(again.as<double>()[3 * 8 + 4], layer.dense().at(3, 4), 1e-14);
  cache.release();
  EXPECT_FALSE(cache.valid());
}

TEST(LinearPaths, RefusesAShortWorkspace) {
  const SketchedLayer layer(DType::f32, 40, 30, 2, 4);
  const Array x = test::random_matrix(DType::f32, 3, 40, 5);
  Array h = test::make_matrix(DType::f32, 3, 4), y = test::make_matrix(DType::f32, 3, 30);
  std::vector<std::byte> workspace(100);
  try {
    sketched_linear_forward({cpu_kernels(), workspace, {}}, layer.weights(SignStorage::expanded), {x.view, h.view, y.view, {}}, choice_of(kWays[3]));
    FAIL() << "100 bytes for a weight of 4800";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::InvalidArgument);
    EXPECT_NE(error.message().find("100 bytes"), std::string::npos) << error.message();
  }
}

}  // namespace
}  // namespace panther
