#include "kernels/linear/cost_model.h"

#include <gtest/gtest.h>

#include "core/error.h"
#include "kernels/linear/calibrate.h"

namespace panther {
namespace {

/// 1 Tflop/s at any width, 100 GB/s, launches free: predictions are then sums by hand.
Calibration flat() {
  Calibration c;
  for (auto* rates : {&c.library, &c.own}) {
    for (ProductRate& rate : *rates) rate.flops = {1e12, 1e12, 1e12, 1e12};
  }
  c.memory_bytes_per_second = 1e11;
  c.cache_bytes_per_second = 1e11;
  c.signs_per_second = 1e12;
  c.fused_rows = -1;
  return c;
}

LinearProblem problem(std::int64_t b, std::int64_t d, std::int64_t o, std::int64_t r, LinearPass pass = LinearPass::forward) {
  LinearProblem p{b, d, o, r};
  p.pass = pass;
  return p;
}

TEST(LinearCostModel, RatesAreLogLinearBetweenWidths) {
  const ProductRate rate{{1e9, 4e9, 16e9, 64e9}};
  EXPECT_DOUBLE_EQ(rate.at(1), 1e9);
  EXPECT_DOUBLE_EQ(rate.at(8), 1e9);
  EXPECT_NEAR(rate.at(16), 2e9, 1);
  EXPECT_NEAR(rate.at(128), 16e9, 10);
  EXPECT_DOUBLE_EQ(rate.at(1e6), 64e9);
}

// Section 5.1: 4 B R (D + O) flops forward, 6 B R (D + O) backward, when flops dominate.
TEST(LinearCostModel, CountsFlopsAsSection51) {
  Calibration c = flat();
  c.memory_bytes_per_second = c.cache_bytes_per_second = 1e30;
  const double b = 512, d = 1000, o = 3000, r = 40;
  EXPECT_NEAR(predict_linear_path(problem(512, 1000, 3000, 40), c, LinearPath::chain).seconds, 4 * b * r * (d + o) / 1e12, 1e-12);
  EXPECT_NEAR(predict_linear_path(problem(512, 1000, 3000, 40, LinearPass::backward), c, LinearPath::chain).seconds, 6 * b * r * (d + o) / 1e12, 1e-12)
      << "dH 4BRO + dX 4BRD + dS1 2BRD + dS2 2BRO";
  LinearProblem cached = problem(512, 1000, 3000, 40, LinearPass::inference);
  cached.dense_cached = true;
  EXPECT_NEAR(predict_linear_path(cached, c, LinearPath::dense).seconds, 2 * b * d * o / 1e12, 1e-12);
  cached.dense_cached = false;
  EXPECT_NEAR(predict_linear_path(cached, c, LinearPath::dense).seconds, 2 * b * d * o / 1e12 + 4 * r * d * o / 1e12, 1e-12);
}

// One row: bytes decide. W of 8192 x 8192 f32 against 2 R (D + O) numbers, of which half as bits or nothing at all.
TEST(LinearCostModel, CountsBytesWhenTheBatchIsSmall) {
  Calibration c = flat();
  for (auto* rates : {&c.library, &c.own}) {
    for (ProductRate& rate : *rates) rate.flops = {1e30, 1e30, 1e30, 1e30};
  }
  c.signs_per_second = 1e30;
  LinearProblem p = problem(1, 8192, 8192, 64, LinearPass::inference);
  const double factors = 4.0 * 2 * 64 * 2 * 8192, ends = 4.0 * (2 * 8192 + 2 * 128);
  EXPECT_NEAR(predict_linear_path(p, c, LinearPath::fused).seconds, (factors + ends) / 1e11, 1e-12);
  p.signs = SignStorage::bits;
  EXPECT_NEAR(predict_linear_path(p, c, LinearPath::fused).seconds, (factors * (1 + 1.0 / 32) / 2 + ends) / 1e11, 1e-12);
  p.signs = SignStorage::seed;
  EXPECT_NEAR(predict_linear_path(p, c, LinearPath::fused).seconds, (factors / 2 + ends) / 1e11, 1e-12);
  p.dense_cached = true;
  EXPECT_NEAR(predict_linear_path(p, c, LinearPath::dense).seconds, 4.0 * (8192.0 * 8192 + 2 * 8192) / 1e11, 1e-12);
}

// Never worse than an ordinary layer by the model's own account: a cached W is always open, and forming it pays for large batches.
TEST(LinearCostModel, ChoiceIsTheSmallestPrediction) {
  for (const DeviceKind device : {DeviceKind::cpu, DeviceKind::cuda}) {
    const Calibration& c = default_calibration(device);
    for (const std::int64_t b : {1, 16, 256, 8192}) {
      for (const std::int64_t d : {64, 1024, 8192}) {
        for (const std::int64_t r : {1, 16, 128, 1024, 8192}) {
          for (const LinearPass pass : {LinearPass::forward, LinearPass::backward, LinearPass::inference}) {
            LinearProblem p = problem(b, d, d, r, pass);
            p.dense_cached = pass == LinearPass::inference;
            const LinearChoice choice = choose_linear_path(p, c);
            for (const LinearPath path : {LinearPath::chain, LinearPath::dense}) {
              EXPECT_LE(choice.seconds, predict_linear_path(p, c, path).seconds);
            }
            if (p.dense_cached) {
              EXPECT_LE(choice.seconds, choice.dense_layer_seconds);
            }
            EXPECT_NE(choice.why.find(linear_path_name(choice.path)), std::string::npos) << choice.why;
          }
        }
      }
    }
  }
}

TEST(LinearCostModel, PicksEachPathWhereItMust) {
  const Calibration& cpu = default_calibration(DeviceKind::cpu);
  LinearProblem wide = problem(8192, 1024, 1024, 1024, LinearPass::inference);
  EXPECT_EQ(choose_linear_path(wide, cpu).path, LinearPath::dense) << "2 R > d: W pays for itself over 8192 rows";
  wide.dense_allowed = false;
  EXPECT_NE(choose_linear_path(wide, cpu).path, LinearPath::dense);
  EXPECT_NE(choose_linear_path(problem(256, 4096, 4096, 64), cpu).path, LinearPath::dense);
  const Calibration& cuda = default_calibration(DeviceKind::cuda);
  LinearProblem decode = problem(1, 8192, 8192, 64, LinearPass::inference);
  decode.dtype = DType::bf16;
  EXPECT_EQ(choose_linear_path(decode, cuda).path, LinearPath::chain) << "the fused kernel's arithmetic is measured to be slow";
  Calibration quick = cuda;
  quick.fused_flops = 0;
  EXPECT_EQ(choose_linear_path(decode, quick).path, LinearPath::fused);
  decode.rows = 8192;
  EXPECT_EQ(choose_linear_path(decode, quick).path, LinearPath::chain) << "no fused kernel above " << quick.fused_rows << " rows";
}

TEST(LinearCostModel, KeepsThePathUnlessAnotherIsATenthFaster) {
  Calibration c = flat();
  c.memory_bytes_per_second = c.cache_bytes_per_second = 1e30;
  LinearProblem p = problem(100, 1000, 1000, 250, LinearPass::inference);  // equal flops
  p.dense_cached = true;
  EXPECT_EQ(choose_linear_path(p, c, LinearPath::dense).path, LinearPath::dense);
  EXPECT_EQ(choose_linear_path(p, c, LinearPath::chain).path, LinearPath::chain);
  p.sketch_size = 240;  // 4 % less
  EXPECT_EQ(choose_linear_path(p, c, LinearPath::dense).path, LinearPath::dense);
  EXPECT_NE(choose_linear_path(p, c).path, LinearPath::dense);
  p.sketch_size = 200;  // 20 % less
  EXPECT_NE(choose_linear_path(p, c, LinearPath::dense).path, LinearPath::dense);
}

TEST(LinearCostModel, IsPure) {
  const LinearProblem p = problem(33, 777, 555, 44, LinearPass::backward);
  const LinearChoice a = choose_linear_path(p, default_calibration(DeviceKind::cpu)), b = choose_linear_path(p, default_calibration(DeviceKind::cpu));
  EXPECT_EQ(a.path, b.path);
  EXPECT_EQ(a.own, b.own);
  EXPECT_EQ(a.seconds, b.seconds);
  EXPECT_EQ(a.why, b.why);
}

TEST(LinearCostModel, RefusesNonsense) {
  EXPECT_THROW(choose_linear_path(problem(-1, 2, 3, 4), flat()), Error);
  LinearProblem integers = problem(1, 2, 3, 4);
  integers.dtype = DType::i32;
  EXPECT_THROW(choose_linear_path(integers, flat()), Error);
}

TEST(LinearCalibration, MeasuresPositiveFiniteRates) {
  const DType dtypes[] = {DType::f32};
  const Calibration c = calibrate(cpu_kernels(), dtypes);
  for (const auto* rates : {&c.library, &c.own}) {
    for (const double rate : (*rates)[1].flops) EXPECT_TRUE(rate > 1e6 && rate < 1e15) << rate;
  }
  EXPECT_EQ(c.library[0].flops, default_calibration(DeviceKind::cpu).library[0].flops) << "f64 was not asked for";
  EXPECT_TRUE(c.launch_seconds > 0 && c.launch_seconds < 1);
  EXPECT_TRUE(c.memory_bytes_per_second > 1e6 && c.cache_bytes_per_second >= c.memory_bytes_per_second);
  EXPECT_GT(c.signs_per_second, 1e5);
}

}  // namespace
}  // namespace panther
