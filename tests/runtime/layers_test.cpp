#include <ATen/Parallel.h>

#include <set>

#include "core/error.h"
#include "runtime/layers/attention.h"
#include "runtime/layers/dropout.h"
#include "runtime/layers/embedding.h"
#include "runtime/layers/init.h"
#include "runtime/layers/linear_registry.h"
#include "runtime/layers/mlp.h"
#include "runtime/layers/norm.h"

namespace panther::runtime {
namespace {

BuildContext doubles() {
  BuildContext context;
  context.seed = 9;
  context.dtype = at::kDouble;
  return context;
}

SketchSpec spec_of(const std::string& kind) { return {kind, kind == "dense" ? 0 : 6, "scratch", 0}; }

/// The contract of every member of the linear family.
TEST(LinearFamily, KeepsItsContract) {
  at::manual_seed(1);
  for (const std::string& kind : linear_registry().names()) {
    SCOPED_TRACE(kind);
    const auto layer = linear_registry().at(kind).make({"a.b", 14, 22, true, 0}, spec_of(kind), doubles());
    layer->bias().detach().normal_();
    const at::Tensor x = at::randn({3, 5, 14}, at::kDouble).requires_grad_(true);
    const at::Tensor y = layer->forward(x);
    EXPECT_LE((y - at::matmul(x, layer->dense_weight()) - layer->bias()).abs().max().item<double>(), 1e-12);
    // dx of the layer is dx of the dense product.
    const at::Tensor g = at::randn_like(y);
    y.backward(g);
    EXPECT_LE((x.grad() - at::matmul(g, layer->dense_weight().t())).abs().max().item<double>(), 1e-12);
    for (const ParameterInfo& info : parameters_of(*layer)) {
      EXPECT_TRUE(info.tensor.grad().defined()) << info.name;
      EXPECT_EQ(info.decay, info.name != "bias");
      EXPECT_EQ(info.lr_scale, 1.0);
    }
    std::vector<LayerFacts> facts = facts_of(*layer);
    ASSERT_EQ(facts.size(), 1u);
    std::int64_t count = 0;
    for (const auto& parameter : layer->parameters()) count += parameter.numel();
    EXPECT_EQ(facts[0].parameters, count);
    EXPECT_EQ(facts[0].kind, "linear." + kind);
    EXPECT_EQ(facts[0].dense_parameters, 14 * 22 + 22);
    EXPECT_EQ(facts[0].dense_forward_flops_per_row, 2.0 * 14 * 22);
    EXPECT_EQ(facts[0].forward_flops_per_row, kind == "dense" ? 2.0 * 14 * 22 : 4.0 * 6 * (14 + 22) / (kind == "factorized" ? 2 : 1));
    // Twice forward where every factor trains; the sketched layer spends 6 R (D + O).
    EXPECT_EQ(facts[0].backward_flops_per_row, kind == "sketched" ? 6.0 * 6 * (14 + 22) : 2 * facts[0].forward_flops_per_row);
    EXPECT_EQ(facts[0].saved_bytes_per_row, 8 * (14 + (kind == "dense" ? 0 : 6)));
    // The same start for every thread count, another for another seed.
    const auto twin = linear_registry().at(kind).make({"a.b", 14, 22, true, 0}, spec_of(kind), doubles());
    EXPECT_TRUE(at::equal(twin->dense_weight(), layer->dense_weight()));
    BuildContext other = doubles();
    other.seed = 10;
    EXPECT_FALSE(at::equal(linear_registry().at(kind).make({"a.b", 14, 22, true, 0}, spec_of(kind), other)->dense_weight(), layer->dense_weight()));
    EXPECT_THROW(layer->forward(at::zeros({2, 13}, at::kDouble)), Error);
  }
}

TEST(LinearFamily, StartsWithTheAskedVariance) {
  for (const std::string& kind : linear_registry().names()) {
    const auto layer = linear_registry().at(kind).make({"v", 256, 192, false, 0.05}, {kind, 48, "scratch", 0}, doubles());
    EXPECT_NEAR(layer->dense_weight().pow(2).mean().item<double>() / 0.0025, 1.0, 0.06) << kind;
  }
}

TEST(InitNormal, IsTheSameForTypesStridesAndThreads) {
  at::Tensor reference = at::empty({301, 17}, at::kDouble);
  init_normal_(reference, 3, "p", 2.0);
  EXPECT_NEAR(reference.mean().item<double>(), 0.0, 4 * 2.0 / std::sqrt(301.0 * 17));
  EXPECT_NEAR(reference.std().item<double>(), 2.0, 4 * 2.0 / std::sqrt(2 * 301.0 * 17));
  // Fourth moment of a normal: 3 sigma^4, within four deviations (the variance of x^4 is 96 sigma^8).
  EXPECT_NEAR(reference.pow(4).mean().item<double>() / 16, 3.0, 4 * std::sqrt(96.0 / (301 * 17)));
  const int threads = at::get_num_threads();
  for (const int count : {1, 3}) {
    at::set_num_threads(count);
    for (const auto dtype : {at::kDouble, at::kFloat, at::kBFloat16}) {
      const at::Tensor other = at::empty({17, 301}, dtype).t();
      init_normal_(other, 3, "p", 2.0);
      EXPECT_TRUE(at::equal(other, dtype == at::kBFloat16 ? reference.to(at::kFloat).to(dtype) : reference.to(dtype)));
    }
  }
  at::set_num_threads(threads);
  at::Tensor elsewhere = at::empty_like(reference);
  init_normal_(elsewhere, 3, "q", 2.0);
  EXPECT_FALSE(at::equal(elsewhere, reference));
}

TEST(Dropout, BelongsToTheSample) {
  Dropout layer("blocks.0.dropout1", 0.25);
  const at::Tensor x = at::ones({4, 10, 33});
  const ForwardContext context{.step = 0, .sample_ids = at::tensor({5, 6, 1000000007, 8}, at::kLong), .seed = 77};
  const at::Tensor y = layer.forward(x, context);
  const ForwardContext one{.step = 3, .sample_ids = at::tensor({1000000007}, at::kLong), .seed = 77};
  EXPECT_TRUE(at::equal(layer.forward(x.narrow(0, 0, 1), one)[0], y[2]));
  // Kept elements are divided by the probability of keeping.
  EXPECT_TRUE(at::all((y == 0).logical_or(at::isclose(y, at::full_like(y, 1.0 / 0.75)))).item<bool>());
  Dropout other("blocks.1.dropout1", 0.25);
  EXPECT_FALSE(at::equal(other.forward(x, context), y));
  EXPECT_FALSE(at::equal(y[0], y[1]));
  layer.eval();
  EXPECT_TRUE(at::equal(layer.forward(x, context), x));
}

TEST(Dropout, KeepsTheAskedShareAndPassesTheSameGradient) {
  Dropout layer("d", 0.1);
  const at::Tensor ids = at::arange(100, at::kLong);
  const double kept = layer.mask(ids, 1001, 5).to(at::kDouble).mean().item<double>();
  EXPECT_NEAR(kept, 0.9, 4 * std::sqrt(0.09 / 100100));
  const at::Tensor x = at::randn({100, 1001}).requires_grad_(true);
  const at::Tensor y = layer.forward(x, {.step = 0, .sample_ids = ids, .seed = 5});
  y.sum().backward();
  EXPECT_TRUE(at::allclose(x.grad() * x.detach(), y.detach()));
  EXPECT_THROW(layer.forward(x, {}), Error);
  EXPECT_THROW(Dropout("d", 1.0), Error);
}

TEST(Attention, SeesThePastOnlyAndEqualsTheFormula) {
  at::manual_seed(3);
  CausalSelfAttention layer({"att", 24, 3, 16, true, 0}, doubles());
  const at::Tensor x = at::randn({2, 9, 24}, at::kDouble);
  const at::Tensor y = layer.forward(x);
  const auto p = layer.named_parameters();
  const at::Tensor qkv = at::linear(x, p["qkv.weight"], p["qkv.bias"]);
  std::vector<at::Tensor> heads;
  for (std::int64_t h = 0; h < 3; ++h) {
    const auto part = [&](std::int64_t which) { return qkv.narrow(2, which * 24 + h * 8, 8); };
    const at::Tensor scores = at::matmul(part(0), part(1).transpose(1, 2)) / std::sqrt(8.0);
    const at::Tensor hidden = at::ones({9, 9}, at::kBool).triu(1);
    heads.push_back(at::matmul(at::softmax(scores.masked_fill(hidden, -1e300), -1), part(2)));
  }
  const at::Tensor want = at::linear(at::cat(heads, 2), p["proj.weight"], p["proj.bias"]);
  EXPECT_LE((y - want).abs().max().item<double>(), 1e-12);
  at::Tensor changed = x.clone();
  changed.select(1, 6).add_(1.0);
  const at::Tensor moved = layer.forward(changed);
  EXPECT_TRUE(at::equal(moved.narrow(1, 0, 6), y.narrow(1, 0, 6)));
  EXPECT_FALSE(at::equal(moved.select(1, 6), y.select(1, 6)));
}

TEST(Mlp, FollowsItsFormulas) {
  const at::Tensor x = at::randn({5, 12}, at::kDouble);
  for (const char* name : {"gelu", "relu", "swiglu"}) {
    Mlp layer({"m", 12, 30, parse_activation(name), true, 0}, doubles());
    const auto p = layer.named_parameters();
    const at::Tensor up = at::linear(x, p["up.weight"], p["up.bias"]);
    at::Tensor hidden;
    if (std::string(name) == "gelu") hidden = up * 0.5 * (1 + at::erf(up / std::sqrt(2.0)));
    else if (std::string(name) == "relu") hidden = at::where(up > 0, up, at::zeros_like(up));
    else {
      const at::Tensor gate = at::linear(x, p["gate.weight"], p["gate.bias"]);
      hidden = gate / (1 + at::exp(-gate)) * up;
    }
    EXPECT_LE((layer.forward(x) - at::linear(hidden, p["down.weight"], p["down.bias"])).abs().max().item<double>(), 1e-12) << name;
  }
  EXPECT_THROW(parse_activation("tanh"), Error);
}

TEST(Norm, FollowsItsFormulas) {
  const at::Tensor x = at::randn({5, 12}, at::kDouble) * 3 + 1;
  Norm layer({"layer", 12, true}, doubles());
  Norm rms({"rms", 12, true}, doubles());
  const at::Tensor centred = x - x.mean(-1, true);
  EXPECT_LE((layer.forward(x) - centred / (centred.pow(2).mean(-1, true) + 1e-5).sqrt()).abs().max().item<double>(), 1e-12);
  EXPECT_LE((rms.forward(x) - x / (x.pow(2).mean(-1, true) + 1e-5).sqrt()).abs().max().item<double>(), 1e-12);
  EXPECT_EQ(layer.parameters().size(), 2u);
  EXPECT_EQ(rms.parameters().size(), 1u);
  EXPECT_FALSE(parameters_of(layer).front().decay);
  EXPECT_THROW(Norm({"batch", 12, true}, doubles()), Error);
}

TEST(Embedding, PicksRowsAndTagsItsGradient) {
  Embedding free({"tokens", 7, 4, false, true, 0.02}, doubles()), tied({"tokens", 7, 4, true, true, 0.02}, doubles());
  const at::Tensor out = free.forward(at::tensor({3, 3, 0}, at::kLong).view({1, 3}));
  EXPECT_TRUE(at::equal(out[0][1], free.weight()[3]));
  out.sum().backward();
  EXPECT_EQ(free.weight().grad()[3].sum().item<double>(), 8.0);
  EXPECT_EQ(free.weight().grad()[1].abs().sum().item<double>(), 0.0);
  EXPECT_EQ(parameters_of(free).front().tag, GradientTag::row_sparse);
  EXPECT_EQ(parameters_of(tied).front().tag, GradientTag::dense);
}

}  // namespace
}  // namespace panther::runtime
