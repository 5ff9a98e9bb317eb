// The sketched layer against independent formulas: signs element by element, composed autograd operations, differences.
#include <ATen/Parallel.h>
#include <c10/core/Allocator.h>
#include <c10/util/ThreadLocalDebugInfo.h>

#include "core/error.h"
#include "kernels/sketch/signs.h"
#include "runtime/layers/autocast.h"
#include "runtime/layers/convert.h"
#include "runtime/layers/sketched_linear.h"

namespace panther::runtime {
namespace {

constexpr std::uint64_t kSeed = 42;

std::shared_ptr<SketchedLinear> make_layer(std::int64_t in, std::int64_t out, std::int64_t size, at::ScalarType dtype, bool bias = true,
                                           const std::string& init = "scratch") {
  BuildContext context;
  context.seed = kSeed;
  context.dtype = dtype;
  auto layer = std::make_shared<SketchedLinear>(LinearOptions{"some.layer", in, out, bias, 0}, SketchSpec{"sketched", size, init, 0}, context);
  if (bias) layer->bias().detach().copy_(at::arange(out, at::kDouble).cos());
  return layer;
}

at::Tensor signs(const char* which, std::int64_t vectors, std::int64_t elements) {
  const SignKey key = SignKey::of(kSeed, std::string("some.layer.") + which);
  at::Tensor out = at::empty({vectors, elements}, at::kDouble);
  for (std::int64_t v = 0; v < vectors; ++v) {
    for (std::int64_t e = 0; e < elements; ++e) {
      out[v][e] = sign_is_negative(key, static_cast<std::uint32_t>(v), static_cast<std::uint32_t>(e)) ? -1.0 : 1.0;
    }
  }
  return out;
}

at::Tensor random(at::IntArrayRef shape, at::ScalarType dtype = at::kDouble) { return at::randn(shape, at::kDouble).to(dtype); }

double relative(const at::Tensor& got, const at::Tensor& want) {
  return ((got.to(at::kDouble) - want).norm() / want.norm().clamp_min(1e-300)).item<double>();
}

/// y and all gradients by plain autograd operations in f64.
struct Composed {
  at::Tensor x, s1, s2, bias, y;
  Composed(const SketchedLinear& layer, const at::Tensor& input) {
    const auto p = layer.named_parameters(false);
    const auto leaf = [](const at::Tensor& t) { return t.detach().to(at::kDouble).clone().requires_grad_(true); };
    x = leaf(input), s1 = leaf(p["s1"]), s2 = leaf(p["s2"]), bias = leaf(p["bias"]);
    const std::int64_t size = s1.size(0);
    const double alpha = 1.0 / (2.0 * std::sqrt(static_cast<double>(size)));
    const at::Tensor u1 = signs("u1", size, s2.size(1)), u2 = signs("u2", size, s1.size(1));
    y = alpha * (at::matmul(at::matmul(x, s1.t()), u1) + at::matmul(at::matmul(x, u2.t()), s2)) + bias;
  }
};

TEST(SketchedLayer, EqualsTheDenseProduct) {
  at::manual_seed(1);
  for (const auto& shape : std::vector<std::vector<std::int64_t>>{{7, 20}, {2, 3, 20}, {20}, {0, 20}, {2, 0, 20}}) {
    for (const auto& [dtype, tolerance] : {std::pair{at::kDouble, 1e-12}, std::pair{at::kFloat, 1e-5}}) {
      auto layer = make_layer(20, 33, 5, dtype);
      const at::Tensor x = random(shape, dtype);
      const at::Tensor y = layer->forward(x);
      const at::Tensor want = at::matmul(x.to(at::kDouble), layer->dense_weight().to(at::kDouble)) + layer->bias().to(at::kDouble);
      ASSERT_EQ(y.sizes(), want.sizes());
      EXPECT_LE((y - want).norm().item<double>(), tolerance * want.norm().item<double>());
      const at::NoGradGuard no_grad;
      EXPECT_TRUE(at::equal(layer->forward(x), y));
    }
  }
  EXPECT_THROW(make_layer(20, 33, 5, at::kFloat)->forward(at::zeros({3, 19})), Error);
  EXPECT_THROW(make_layer(20, 33, 5, at::kFloat)->forward(at::zeros({3, 20}, at::kDouble)), Error);
}

TEST(SketchedLayer, GradientsEqualComposedOperations) {
  at::manual_seed(2);
  auto layer = make_layer(20, 33, 5, at::kDouble);
  for (const bool strided : {false, true}) {
    at::Tensor x = (strided ? random({4, 20, 3}).transpose(1, 2) : random({4, 3, 20})).requires_grad_(true);
    const at::Tensor g = random({4, 3, 33});
    Composed want(*layer, x);
    want.y.backward(g);
    layer->zero_grad();
    layer->forward(x).backward(g);
    const auto p = layer->named_parameters(false);
    EXPECT_LE(relative(x.grad(), want.x.grad()), 1e-12);
    EXPECT_LE(relative(p["s1"].grad(), want.s1.grad()), 1e-12);
    EXPECT_LE(relative(p["s2"].grad(), want.s2.grad()), 1e-12);
    EXPECT_LE(relative(p["bias"].grad(), want.bias.grad()), 1e-12);
  }
}

TEST(SketchedLayer, GradientOfABroadcastSum) {
  auto layer = make_layer(20, 33, 5, at::kDouble);
  const at::Tensor x = random({6, 20});
  Composed want(*layer, x);
  want.y.sum().backward();
  layer->forward(x).sum().backward();
  EXPECT_LE(relative(layer->named_parameters(false)["s1"].grad(), want.s1.grad()), 1e-12);
}

TEST(SketchedLayer, GradientsEqualFiniteDifferences) {
  at::manual_seed(3);
  auto layer = make_layer(6, 5, 3, at::kDouble);
  at::Tensor x = random({4, 6}).requires_grad_(true);
  const auto loss = [&] { return layer->forward(x).pow(3).sum(); };
  loss().backward();
  const auto p = layer->named_parameters(false);
  for (const at::Tensor& leaf : {x, p["s1"], p["s2"], p["bias"]}) {
    const at::NoGradGuard no_grad;
    const at::Tensor flat = leaf.detach().view(-1), grad = leaf.grad().view(-1);
    constexpr double step = 1e-5;
    for (std::int64_t i = 0; i < flat.numel(); ++i) {
      const double value = flat[i].item<double>();
      flat[i] = value + step;
      const double up = loss().item<double>();
      flat[i] = value - step;
      const double down = loss().item<double>();
      flat[i] = value;
      EXPECT_NEAR(grad[i].item<double>(), (up - down) / (2 * step), 1e-7 * (1 + std::abs(grad[i].item<double>())));
    }
  }
}

/// Bytes of CPU tensors that are alive, by torch's own reports.
struct MemoryCounter final : c10::MemoryReportingInfoBase {
  std::int64_t alive = 0;
  void reportMemoryUsage(void*, std::int64_t alloc_size, std::size_t, std::size_t, c10::Device) override { alive += alloc_size; }
  bool memoryProfilingEnabled() const override { return true; }
};

TEST(SketchedLayer, SavesItsInputAndTheSecondProjectionOnly) {
  auto layer = make_layer(64, 48, 8, at::kFloat);
  const at::Tensor x = random({32, 64}, at::kFloat);
  const auto users = x.use_count();
  auto counter = std::make_shared<MemoryCounter>();
  const c10::DebugInfoGuard guard(c10::DebugInfoKind::PROFILER_STATE, counter);
  const at::Tensor y = layer->forward(x);
  EXPECT_EQ(counter->alive, static_cast<std::int64_t>(y.nbytes()) + 32 * 8 * 4);
  EXPECT_EQ(x.use_count(), users + 1);
}

TEST(SketchedLayer, NoSecondDerivatives) {
  auto layer = make_layer(8, 8, 2, at::kDouble);
  at::Tensor x = random({3, 8}).requires_grad_(true);
  try {
    layer->forward(x).sum().backward({}, /*retain_graph=*/true, /*create_graph=*/true);
    ADD_FAILURE();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::Unsupported);
  }
}

TEST(SketchedLayer, SignsAreTheKeyedOnesForAnyThreadCountAndGrowInPlace) {
  const int threads = at::get_num_threads();
  for (const int count : {1, 2, 3}) {
    at::set_num_threads(count);
    auto layer = make_layer(300, 135, 12, at::kFloat);
    EXPECT_TRUE(at::equal(layer->u1_RO().to(at::kDouble), signs("u1", 12, 135)));
    EXPECT_TRUE(at::equal(layer->u2_RD().to(at::kDouble), signs("u2", 12, 300)));
    auto smaller = make_layer(300, 135, 8, at::kBFloat16);
    EXPECT_TRUE(at::equal(layer->u1_RO().narrow(0, 0, 8), smaller->u1_RO().to(at::kFloat)));
    EXPECT_TRUE(at::equal(layer->u2_RD().narrow(0, 0, 8), smaller->u2_RD().to(at::kFloat)));
  }
  at::set_num_threads(threads);
}

TEST(SketchedLayer, ScratchInitHasTheAskedVariance) {
  for (const double std : {0.0, 0.3}) {
    BuildContext context;
    const SketchedLinear layer(LinearOptions{"w", 128, 96, false, std}, SketchSpec{"sketched", 32, "scratch", 0}, context);
    const double want = std > 0 ? std : 1.0 / std::sqrt(128.0);
    // The 12288 entries are built from 32 * 224 numbers: three deviations of the mean square are 3 sqrt(2 / 7168) = 5 %.
    EXPECT_NEAR(layer.dense_weight().pow(2).mean().item<double>() / (want * want), 1.0, 0.05);
  }
}

TEST(SketchedLayer, OptimizersThatUpdateInPlaceAreSeen) {
  auto layer = make_layer(16, 16, 4, at::kDouble);
  const at::Tensor x = random({5, 16});
  const at::Tensor before = layer->forward(x).detach();
  layer->named_parameters(false)["s1"].detach().mul_(2.0);
  EXPECT_LE(relative(layer->forward(x).detach(), at::matmul(x, layer->dense_weight()) + layer->bias().detach()), 1e-12);
  EXPECT_GT(relative(layer->forward(x).detach(), before), 1e-3);
}

TEST(SketchedLayer, MovesBetweenTypesAndReplacedDataAreFollowed) {
  auto layer = make_layer(16, 24, 4, at::kFloat);
  const at::Tensor x = random({5, 16});
  const at::Tensor want = layer->forward(x.to(at::kFloat)).detach().to(at::kDouble);
  layer->to(at::kDouble);
  EXPECT_LE(relative(layer->forward(x).detach(), want), 1e-6);
  const auto p = layer->named_parameters(false);
  at::Tensor s1 = p["s1"];
  s1.set_data(s1.detach().clone().mul_(3.0));
  EXPECT_LE(relative(layer->forward(x).detach(), at::matmul(x, layer->dense_weight()) + layer->bias().detach()), 1e-12);
}

TEST(SketchedLayer, Bf16WithinTheStatedTolerance) {
  at::manual_seed(5);
  auto layer = make_layer(256, 512, 32, at::kFloat);
  const at::Tensor x = random({128, 256}, at::kFloat);
  const at::Tensor g = random({128, 512}, at::kFloat);
  Composed want(*layer, x);
  want.y.backward(g.to(at::kDouble));
  at::Tensor y;
  {
    const AutocastGuard autocast(at::Device(at::kCPU), true);
    y = layer->forward(x);
  }
  ASSERT_EQ(y.scalar_type(), at::kBFloat16);
  // Section 5.3's measure: the error over the norms of the factors.
  const auto p = layer->named_parameters(false);
  const double pt = std::sqrt(p["s1"].pow(2).sum().item<double>() + 32.0 * 256);
  const double q = std::sqrt(p["s2"].pow(2).sum().item<double>() + 32.0 * 512);
  const double scale = layer->spec().alpha * x.norm().item<double>() * pt * q;
  EXPECT_LE((y.detach().to(at::kDouble) - want.y.detach()).norm().item<double>(), 3.0 / 256 * scale);
  EXPECT_LE(relative(y.detach(), want.y.detach()), 3.0 / 256);
  y.backward(g.to(at::kBFloat16));
  EXPECT_EQ(p["s1"].grad().scalar_type(), at::kFloat);
  EXPECT_LE(relative(p["s1"].grad(), want.s1.grad()), 6.0 / 256);
  EXPECT_LE(relative(p["s2"].grad(), want.s2.grad()), 6.0 / 256);
  EXPECT_LE(relative(p["bias"].grad(), want.bias.grad()), 6.0 / 256);
}

TEST(SketchedLayer, F32WithinTheStatedTolerance) {
  at::manual_seed(6);
  auto layer = make_layer(256, 512, 32, at::kFloat);
  const at::Tensor x = random({128, 256}, at::kFloat);
  Composed want(*layer, x);
  EXPECT_LE(relative(layer->forward(x).detach(), want.y.detach()), 1e-6);
}

TEST(SketchedLayer, CastsOfOneAutocastScopeAreFreshInTheNext) {
  auto layer = make_layer(32, 32, 4, at::kFloat);
  const at::Tensor x = random({8, 32}, at::kFloat);
  const auto run = [&] {
    const AutocastGuard autocast(at::Device(at::kCPU), true);
    const at::Tensor first = layer->forward(x).detach();
    EXPECT_TRUE(at::equal(first, layer->forward(x).detach()));
    return first;
  };
  const at::Tensor before = run();
  layer->named_parameters(false)["s2"].detach().zero_();
  layer->named_parameters(false)["s1"].detach().zero_();
  const at::Tensor after = run();
  EXPECT_TRUE(at::equal(after.to(at::kFloat), layer->bias().detach().to(at::kBFloat16).to(at::kFloat).expand({8, 32})));
  EXPECT_FALSE(at::equal(before, after));
}

at::Tensor random_signs(at::IntArrayRef shape, double magnitude) { return (at::randint(0, 2, shape, at::kDouble) * 2 - 1) * magnitude; }

ImportedTerms make_terms(std::int64_t count, std::int64_t rank, std::int64_t in, std::int64_t out) {
  const double magnitude = 1.0 / std::sqrt(static_cast<double>(rank));
  return {random({count, in, rank}), random({count, rank, out}), random_signs({count, rank, out}, magnitude), random_signs({count, in, rank}, magnitude),
          random({out})};
}

at::Tensor predecessor(const ImportedTerms& t, const at::Tensor& x) {
  const std::int64_t count = t.s1s_LDr.size(0);
  at::Tensor y = t.bias_O.clone();
  for (std::int64_t l = 0; l < count; ++l) {
    const at::Tensor term = at::matmul(at::matmul(x, t.s1s_LDr[l]), t.u1s_LrO[l]) + at::matmul(at::matmul(x, t.u2s_LDr[l]), t.s2s_LrO[l]);
    y = y + term / (2.0 * static_cast<double>(count));
  }
  return y;
}

TEST(ImportedTerms, GiveThePredecessorsFunction) {
  at::manual_seed(7);
  BuildContext context;
  context.dtype = at::kDouble;
  for (const auto& [count, rank] : {std::pair{1, 4}, std::pair{3, 5}}) {
    const ImportedTerms terms = make_terms(count, rank, 20, 13);
    const auto layer = import_terms(terms, "imported", context);
    const at::Tensor x = random({6, 20});
    EXPECT_LE(relative(layer->forward(x).detach(), predecessor(terms, x)), 1e-12);
    // A checkpoint of it: parameters and sign bits into a layer built with other signs.
    auto loaded = std::make_shared<SketchedLinear>(LinearOptions{"elsewhere", 20, 13, true, 0}, SketchSpec{"sketched", count * rank, "imported", 0}, context);
    const auto from = stored_tensors_of(*layer), into = stored_tensors_of(*loaded);
    ASSERT_EQ(from.size(), 5u);
    for (std::size_t i = 0; i < from.size(); ++i) into[i].second.detach().copy_(from[i].second.detach());
    refresh_layers(*loaded);
    EXPECT_TRUE(at::equal(loaded->forward(x), layer->forward(x)));
    loaded->to(at::kFloat);
    EXPECT_LE(relative(loaded->forward(x.to(at::kFloat)).detach(), predecessor(terms, x)), 1e-5);
  }
}

TEST(ImportedTerms, RefusesWhatIsNotTheirs) {
  BuildContext context;
  ImportedTerms terms = make_terms(2, 3, 8, 9);
  terms.u2s_LDr = terms.u2s_LDr * 1.5;
  EXPECT_THROW(import_terms(terms, "imported", context), Error);
  terms = make_terms(2, 3, 8, 9);
  terms.s2s_LrO = random({2, 4, 9});
  EXPECT_THROW(import_terms(terms, "imported", context), Error);
}

}  // namespace
}  // namespace panther::runtime
