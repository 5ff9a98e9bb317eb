// What f32 layers compute on the CPU against torch's operators in f64, forward and backward.
#include <gtest/gtest.h>

#include <ATen/ATen.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/autograd/variable.h>

#include <cmath>
#include <functional>

#include "core/error.h"
#include "runtime/layers/attention_product.h"
#include "runtime/layers/dense_product.h"
#include "runtime/layers/gelu.h"
#include "runtime/layers/gradient_memory.h"

namespace panther::runtime {
namespace {

using Tensors = std::vector<at::Tensor>;
using Function = std::function<at::Tensor(const Tensors&)>;

double relative_error(const at::Tensor& value, const at::Tensor& reference) {
  return (value.to(at::kDouble) - reference).norm().item<double>() / reference.norm().item<double>();
}

/// Results and gradients of `f` in f32 against those of `reference` in f64, for the same inputs; without gradients too.
void expect_agreement(const Function& f, const Function& reference, const Tensors& inputs, double tolerance) {
  Tensors narrow, wide;
  for (const at::Tensor& input : inputs) {
    narrow.push_back(input.detach().clone().set_requires_grad(true));
    wide.push_back(input.detach().to(at::kDouble).set_requires_grad(true));
  }
  const at::Tensor y = f(narrow), want = reference(wide);
  ASSERT_EQ(y.sizes(), want.sizes());
  EXPECT_LT(relative_error(y, want), tolerance);
  const at::Tensor g = at::randn_like(y);
  y.backward(g);
  want.backward(g.to(at::kDouble));
  for (std::size_t i = 0; i < inputs.size(); ++i) EXPECT_LT(relative_error(narrow[i].grad(), wide[i].grad()), tolerance) << "input " << i;
  const at::NoGradGuard no_grad;
  EXPECT_TRUE(at::equal(f(narrow), y)) << "evaluation computes what training computes";
}

TEST(HostPath, DenseProduct) {
  at::manual_seed(1);
  for (const auto& [rows, in, out] : {std::array<std::int64_t, 3>{3, 5, 7}, {70, 48, 96}, {130, 300, 37}}) {
    const Tensors inputs{at::randn({2, rows, in}), at::randn({out, in}), at::randn({out})};
    expect_agreement([](const Tensors& t) { return dense_product(t[0], t[1], t[2]); }, [](const Tensors& t) { return at::linear(t[0], t[1], t[2]); },
                     inputs, 1e-6);
    expect_agreement([](const Tensors& t) { return dense_product(t[0].transpose(0, 1), t[1], {}); },
                     [](const Tensors& t) { return at::linear(t[0].transpose(0, 1), t[1]); }, {inputs[0], inputs[1]}, 1e-6);
  }
}

TEST(HostPath, WeightsUsedTwiceAndFrozenOnes) {
  at::manual_seed(2);
  expect_agreement([](const Tensors& t) { return dense_product(exact_gelu(dense_product(t[0], t[1], {})), t[1], {}); },
                   [](const Tensors& t) { return at::linear(at::gelu(at::linear(t[0], t[1])), t[1]); }, {at::randn({40, 64}), at::randn({64, 64})}, 1e-6);
  const at::Tensor x = at::randn({40, 64}).set_requires_grad(true), frozen = at::randn({32, 64});
  dense_product(x, frozen, {}).sum().backward();
  EXPECT_LT(relative_error(x.grad(), frozen.to(at::kDouble).sum(0).expand({40, 64})), 1e-6);
  EXPECT_FALSE(frozen.grad().defined());
}

TEST(HostPath, ExactGelu) {
  at::manual_seed(3);
  expect_agreement([](const Tensors& t) { return exact_gelu(t[0]); }, [](const Tensors& t) { return at::gelu(t[0]); }, {3 * at::randn({17, 1001})}, 1e-6);
  expect_agreement([](const Tensors& t) { return exact_gelu(t[0].t()); }, [](const Tensors& t) { return at::gelu(t[0].t()); }, {at::randn({17, 9})}, 1e-6);
}

at::Tensor reference_attention(const at::Tensor& qkv, std::int64_t heads) {
  const std::int64_t batch = qkv.size(0), length = qkv.size(1), width = qkv.size(2) / 3;
  const auto part = [&](std::int64_t which) { return qkv.narrow(2, which * width, width).reshape({batch, length, heads, width / heads}).transpose(1, 2); };
  const at::Tensor scores = at::matmul(part(0), part(1).transpose(2, 3)) / std::sqrt(static_cast<double>(width / heads));
  const at::Tensor hidden = at::ones({length, length}, at::kBool).triu(1);
  return at::matmul(at::softmax(scores.masked_fill(hidden, -1e300), -1), part(2)).transpose(1, 2).reshape({batch, length, width});
}

TEST(HostPath, CausalAttention) {
  at::manual_seed(4);
  // The last two are not for the host kernel: an odd head width, a long sequence.
  for (const auto& [batch, length, heads, width] : {std::array<std::int64_t, 4>{2, 128, 4, 64}, {1, 1, 2, 16}, {3, 50, 3, 32}, {2, 20, 2, 20}, {1, 300, 1, 16}}) {
    const std::int64_t count = heads;
    expect_agreement([count](const Tensors& t) { return causal_attention(t[0], count); }, [count](const Tensors& t) { return reference_attention(t[0], count); },
                     {at::randn({batch, length, 3 * heads * width})}, 3e-6);
  }
}

TEST(HostPath, SecondDerivativesAreRefused) {
  const at::Tensor x = at::randn({2, 32, 96}).set_requires_grad(true), weight = at::randn({96, 96}).set_requires_grad(true);
  const auto refused = [&](const at::Tensor& y) {
    try {
      torch::autograd::grad({y.sum()}, {x}, {}, /*retain_graph=*/true, /*create_graph=*/true);
      return false;
    } catch (const Error& error) {
      return error.code() == ErrorCode::Unsupported;
    }
  };
  EXPECT_TRUE(refused(dense_product(x, weight, {})));
  EXPECT_TRUE(refused(exact_gelu(x)));
}

/// Lends one tensor once.
struct Lender final : GradientOwner {
  explicit Lender(at::Tensor place) : memory(std::move(place)) {}
  void operator()(const torch::autograd::Variable&) override { ++called; }
  at::Tensor take_memory() override { return std::exchange(lent, true) ? at::Tensor() : memory.alias(); }
  at::Tensor memory;
  bool lent = false;
  int called = 0;
};

TEST(HostPath, GradientsAreComputedWhereTheOwnerWantsThem) {
  at::manual_seed(5);
  const at::Tensor x = at::randn({40, 32}), memory = at::empty({48, 32});
  at::Tensor weight = at::randn({48, 32}).set_requires_grad(true);
  torch::autograd::impl::set_post_acc_grad_hooks(weight, std::make_unique<Lender>(memory));
  dense_product(x, weight, {}).sum().backward();
  EXPECT_EQ(weight.grad().const_data_ptr(), memory.const_data_ptr());
  EXPECT_LT(relative_error(memory, x.to(at::kDouble).sum(0).expand({48, 32})), 1e-6);
  weight.mutable_grad() = at::Tensor();
  dense_product(x, weight, {}).sum().backward();
  EXPECT_NE(weight.grad().const_data_ptr(), memory.const_data_ptr()) << "lent once";
}

}  // namespace
}  // namespace panther::runtime
