// Start values from dense weights against closed forms of their error.
#include <ATen/ops/linalg_svd.h>

#include "core/error.h"
#include "runtime/layers/convert.h"
#include "runtime/layers/fit.h"
#include "runtime/layers/sketched_linear.h"

namespace panther::runtime {
namespace {

constexpr std::int64_t kIn = 24, kOut = 40, kSize = 8;
constexpr int kDraws = 300;

std::shared_ptr<SketchedLinear> draw(std::uint64_t seed) {
  BuildContext context;
  context.seed = seed;
  context.dtype = at::kDouble;
  return std::make_shared<SketchedLinear>(LinearOptions{"w", kIn, kOut, true, 0}, SketchSpec{"sketched", kSize, "fitted", 0}, context);
}

struct Moments {
  double error = 0;   ///< mean of |W^ - W|^2 / |W|^2
  double energy = 0;  ///< mean of |W^|^2 / |W|^2
};

Moments moments_of(std::string_view how) {
  at::manual_seed(11);
  const at::Tensor weight = at::randn({kIn, kOut}, at::kDouble), bias = at::randn({kOut}, at::kDouble);
  const double norm = weight.pow(2).sum().item<double>();
  Moments mean;
  for (int i = 0; i < kDraws; ++i) {
    auto layer = draw(static_cast<std::uint64_t>(i));
    initialise_from_dense(*layer, weight, bias, how);
    const at::Tensor got = layer->dense_weight();
    mean.error += (got - weight).pow(2).sum().item<double>() / norm / kDraws;
    mean.energy += got.pow(2).sum().item<double>() / norm / kDraws;
    EXPECT_TRUE(at::equal(layer->bias(), bias));
  }
  return mean;
}

TEST(Fit, FittedErrorIsWhatTwoProjectionsLeave) {
  const double want = (1.0 - double(kSize) / kOut) * (1.0 - double(kSize) / kIn);
  const Moments got = moments_of("fitted");
  EXPECT_NEAR(got.error / want, 1.0, 0.02);
  // What is fitted and what is left are orthogonal.
  EXPECT_NEAR(got.energy, 1.0 - got.error, 1e-9);
}

TEST(Fit, UnbiasedErrorIsAboveOne) {
  const double want = (kIn + kOut - 2.0) / (4.0 * kSize);
  const Moments got = moments_of("unbiased");
  EXPECT_NEAR(got.error / want, 1.0, 0.02);
  EXPECT_NEAR(got.energy / (1.0 + want), 1.0, 0.02);
}

TEST(Fit, FittedIsTheBestMemberForTheseSigns) {
  auto layer = draw(5);
  const at::Tensor weight = at::randn({kIn, kOut}, at::kDouble);
  initialise_from_dense(*layer, weight, {}, "fitted");
  const at::Tensor rest = weight - layer->dense_weight();
  // The gradient of |rest|^2 in S1 and S2 vanishes.
  EXPECT_LE(at::matmul(rest, layer->u1_RO().t()).abs().max().item<double>(), 1e-9);
  EXPECT_LE(at::matmul(layer->u2_RD(), rest).abs().max().item<double>(), 1e-9);
  EXPECT_EQ(layer->bias().abs().max().item<double>(), 0.0);
}

TEST(Fit, FullSketchSizeGivesTheMatrixBack) {
  BuildContext context;
  context.dtype = at::kDouble;
  SketchedLinear layer(LinearOptions{"square", 16, 16, false, 0}, SketchSpec{"sketched", 16, "fitted", 0}, context);
  const at::Tensor weight = at::randn({16, 16}, at::kDouble);
  initialise_from_dense(layer, weight, {}, "fitted");
  EXPECT_LE((layer.dense_weight() - weight).norm().item<double>(), 1e-8 * weight.norm().item<double>());
}

TEST(Fit, FactorizedReachesTheTailOfTheSpectrum) {
  SketchPolicy policy({{"*", "factorized", kSize, "fitted"}}, {});
  BuildContext context;
  context.dtype = at::kDouble;
  context.policy = &policy;
  const auto layer = make_linear({"f", kIn, kOut, true, 0}, context);
  const at::Tensor weight = at::randn({kIn, kOut}, at::kDouble);
  initialise_from_dense(*layer, weight, {}, "fitted");
  const at::Tensor values = std::get<1>(at::linalg_svd(weight, false));
  const double tail = values.narrow(0, kSize, kIn - kSize).pow(2).sum().item<double>();
  EXPECT_NEAR((layer->dense_weight() - weight).pow(2).sum().item<double>(), tail, 1e-9 * tail);
}

TEST(Fit, RefusesWrongShapesAndUnknownWays) {
  auto layer = draw(1);
  EXPECT_THROW(initialise_from_dense(*layer, at::zeros({kOut, kIn}), {}, "fitted"), Error);
  EXPECT_THROW(initialise_from_dense(*layer, at::zeros({kIn, kOut}), at::zeros({kOut + 1}), "fitted"), Error);
  EXPECT_THROW(initialise_from_dense(*layer, at::zeros({kIn, kOut}), {}, "scratch"), Error);
}

}  // namespace
}  // namespace panther::runtime
