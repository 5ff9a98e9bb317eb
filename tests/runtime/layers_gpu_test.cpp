// Layers and models on CUDA against the same ones on the CPU.
#include "runtime/layers/autocast.h"
#include "runtime/layers/dropout.h"
#include "runtime/layers/sketched_linear.h"
#include "runtime/models/model.h"
#include "runtime/tensor/view_of.h"

namespace panther::runtime {
namespace {

class OnCuda : public testing::Test {
 protected:
  void SetUp() override {
    if (cuda_kernels() == nullptr) GTEST_SKIP() << why_no_cuda();
  }
};

std::shared_ptr<SketchedLinear> layer_on(at::Device device, at::ScalarType dtype) {
  BuildContext context;
  context.seed = 42;
  context.dtype = dtype;
  context.device = device;
  return std::make_shared<SketchedLinear>(LinearOptions{"some.layer", 256, 513, true, 0}, SketchSpec{"sketched", 24, "scratch", 0}, context);
}

double relative(const at::Tensor& got, const at::Tensor& want) {
  return ((got.cpu().to(at::kDouble) - want.to(at::kDouble)).norm() / want.to(at::kDouble).norm()).item<double>();
}

TEST_F(OnCuda, SketchedLayerEqualsTheCpu) {
  at::manual_seed(1);
  const at::Tensor x = at::randn({4, 33, 256}, at::kDouble), g = at::randn({4, 33, 513}, at::kDouble);
  auto reference = layer_on(at::kCPU, at::kDouble);
  const at::Tensor x_cpu = x.clone().requires_grad_(true);
  const at::Tensor want = reference->forward(x_cpu);
  want.backward(g);
  // f32 products may run in TF32.
  for (const auto& [dtype, bf16, tolerance] :
       {std::tuple{at::kDouble, false, 1e-12}, std::tuple{at::kFloat, false, 3e-3}, std::tuple{at::kFloat, true, 2e-2}}) {
    auto layer = layer_on(at::kCUDA, dtype);
    EXPECT_TRUE(at::equal(layer->u1_RO().cpu().to(at::kDouble), reference->u1_RO()));
    EXPECT_TRUE(at::equal(layer->u2_RD().cpu().to(at::kDouble), reference->u2_RD()));
    const at::Tensor leaf = x.to(at::kCUDA, dtype).requires_grad_(true);
    at::Tensor y;
    {
      const AutocastGuard autocast(at::Device(at::kCUDA), bf16);
      y = layer->forward(leaf);
    }
    EXPECT_EQ(y.scalar_type(), bf16 ? at::kBFloat16 : dtype);
    y.backward(g.to(y.options()));
    EXPECT_LE(relative(y.detach(), want.detach()), tolerance);
    EXPECT_LE(relative(leaf.grad(), x_cpu.grad()), tolerance);
    for (const char* name : {"s1", "s2", "bias"}) {
      EXPECT_LE(relative(layer->named_parameters(false)[name].grad(), reference->named_parameters(false)[name].grad()), tolerance) << name << " " << bf16;
    }
  }
}

TEST_F(OnCuda, MovedLayersKeepTheirFunction) {
  auto layer = layer_on(at::kCPU, at::kDouble);
  const at::Tensor x = at::randn({7, 256}, at::kDouble);
  const at::Tensor want = layer->forward(x).detach();
  layer->to(at::Device(at::kCUDA));
  EXPECT_LE(relative(layer->forward(x.cuda()).detach(), want), 1e-12);
}

TEST_F(OnCuda, DropoutDropsTheSameElements) {
  Dropout layer("d", 0.3);
  const ForwardContext context{.step = 0, .sample_ids = at::arange(6, at::kLong), .seed = 8};
  const at::Tensor x = at::ones({6, 50, 3});
  EXPECT_TRUE(at::equal(layer.forward(x.cuda(), context).cpu(), layer.forward(x, context)));
}

TEST_F(OnCuda, GptStepsLikeTheCpu) {
  const at::Tensor tokens = (at::arange(4 * 33, at::kLong).view({4, 33}) * 11 + 5) % 61;
  std::vector<double> losses[2];
  for (const bool cuda : {false, true}) {
    SketchPolicy policy({{"blocks.*", "sketched", 16, "scratch"}}, {});
    BuildContext context;
    context.dtype = at::kDouble;
    context.device = cuda ? at::kCUDA : at::kCPU;
    context.policy = &policy;
    ModelConfig config;
    config.layers = 2, config.width = 64, config.dropout = 0.1;
    const auto model = make_model(config, {.vocabulary = 61, .features = 0, .sequence = 32, .regression = false}, context);
    const Batch batch{tokens.narrow(1, 0, 32).to(context.device), tokens.narrow(1, 1, 32).to(context.device), at::arange(4, at::kLong)};
    for (int step = 0; step < 5; ++step) {
      model->zero_grad();
      const at::Tensor loss = model->loss_sum(batch, {.step = step, .sample_ids = batch.sample_ids, .seed = 2}) / 128.0;
      losses[cuda].push_back(loss.item<double>());
      loss.backward();
      const at::NoGradGuard no_grad;
      for (const auto& parameter : model->parameters()) parameter.detach().sub_(parameter.grad(), 0.2);
    }
  }
  for (std::size_t step = 0; step < 5; ++step) EXPECT_NEAR(losses[1][step] / losses[0][step], 1.0, 1e-9) << step;
  EXPECT_LT(losses[1].back(), losses[1].front());
}

}  // namespace
}  // namespace panther::runtime
