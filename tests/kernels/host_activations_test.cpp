#include <gtest/gtest.h>
#include <omp.h>

#include <cmath>
#include <limits>
#include <numbers>
#include <random>
#include <vector>

#include "kernels/cpu/causal_attention.h"
#include "kernels/cpu/gelu.h"
#include "tests/kernels/tile_forms.h"

namespace panther {
namespace {

double normal_tail(double x) { return 0.5 * std::erfc(-x / std::numbers::sqrt2); }

TEST(HostGelu, AgreesWithErfcAndItsDerivative) {
  std::vector<float> x;
  for (int i = -140000; i <= 140000; ++i) x.push_back(static_cast<float>(i) * 1e-4f);
  std::vector<float> y(x.size()), slope(x.size()), alone(x.size());
  cpu::gelu(x.data(), static_cast<std::int64_t>(x.size()), y.data(), slope.data());
  cpu::gelu(x.data(), static_cast<std::int64_t>(x.size()), alone.data(), nullptr);
  EXPECT_EQ(y, alone);
  for (std::size_t i = 0; i < x.size(); ++i) {
    const double phi = normal_tail(x[i]), density = std::exp(-0.5 * x[i] * x[i]) / std::sqrt(2 * std::numbers::pi);
    ASSERT_NEAR(y[i], x[i] * phi, 2.5e-7 * std::max(1.0, std::abs(static_cast<double>(x[i])))) << x[i];
    ASSERT_NEAR(slope[i], phi + x[i] * density, 5e-7) << x[i];
  }
}

TEST(HostGelu, KeepsWhatIsNotFinite) {
  const float infinity = std::numeric_limits<float>::infinity();
  const std::vector<float> x{infinity, std::nanf(""), -1e30f, 1e30f};
  std::vector<float> y(4), slope(4);
  cpu::gelu(x.data(), 4, y.data(), slope.data());
  EXPECT_EQ(y[0], infinity);
  EXPECT_TRUE(std::isnan(y[1]) && std::isnan(slope[1]));
  EXPECT_NEAR(y[2], 0, 1e-6);
  EXPECT_EQ(y[3], 1e30f);
}

struct Attention {
  cpu::AttentionShape shape;
  std::vector<float> qkv, dout, out, log_sum, dqkv;

  explicit Attention(const cpu::AttentionShape& s) : shape(s) {
    std::mt19937 random(7);
    std::normal_distribution<float> normal;
    const auto cells = static_cast<std::size_t>(s.batch * s.length * s.width());
    qkv.resize(3 * cells), dout.resize(cells), out.resize(cells), dqkv.resize(3 * cells);
    log_sum.resize(static_cast<std::size_t>(s.batch * s.heads * s.length));
    for (float& value : qkv) value = normal(random);
    for (float& value : dout) value = normal(random);
  }
  void run() {
    cpu::causal_attention(shape, qkv.data(), out.data(), log_sum.data());
    cpu::causal_attention_backward(shape, qkv.data(), out.data(), log_sum.data(), dout.data(), dqkv.data());
  }
};

/// sum of out * dout in f64 by the definition; a function of qkv whose gradient is dqkv.
double weighted_sum(const Attention& a, const std::vector<double>& qkv, std::vector<double>* out = nullptr) {
  const auto& s = a.shape;
  const std::int64_t width = s.width();
  double total = 0;
  for (std::int64_t b = 0; b < s.batch; ++b) {
    for (std::int64_t h = 0; h < s.heads; ++h) {
      const auto at = [&](int third, std::int64_t t, std::int64_t d) { return qkv[static_cast<std::size_t>(((b * s.length + t) * 3 + third) * width + h * s.head_width + d)]; };
      for (std::int64_t i = 0; i < s.length; ++i) {
        std::vector<double> weight;
        double sum = 0;
        for (std::int64_t j = 0; j <= i; ++j) {
          double score = 0;
          for (std::int64_t d = 0; d < s.head_width; ++d) score += at(0, i, d) * at(1, j, d);
          weight.push_back(std::exp(score / std::sqrt(static_cast<double>(s.head_width))));
          sum += weight.back();
        }
        for (std::int64_t d = 0; d < s.head_width; ++d) {
          double value = 0;
          for (std::int64_t j = 0; j <= i; ++j) value += weight[static_cast<std::size_t>(j)] / sum * at(2, j, d);
          const auto place = static_cast<std::size_t>((b * s.length + i) * width + h * s.head_width + d);
          if (out != nullptr) (*out)[place] = value;
          total += value * a.dout[place];
        }
      }
    }
  }
  return total;
}

/// Each test of it runs with every form of the products below it.
class HostAttention : public ::testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    for (const cpu::TileKernels* form : test::tile_forms()) {
      if (GetParam() == form->name) return cpu::force_tile_kernels(form);
    }
    GTEST_SKIP() << "not on this processor";
  }
  void TearDown() override { cpu::force_tile_kernels(nullptr); }
};

INSTANTIATE_TEST_SUITE_P(Forms, HostAttention, ::testing::Values("avx2", "avx512"), [](const auto& form) { return form.param; });

TEST_P(HostAttention, AgreesWithTheDefinitionAndFiniteDifferences) {
  for (const cpu::AttentionShape& shape : {cpu::AttentionShape{2, 23, 2, 16}, {1, 1, 1, 32}, {1, 40, 3, 48}}) {
    ASSERT_TRUE(cpu::has_causal_attention(shape));
    Attention attention(shape);
    attention.run();
    std::vector<double> qkv(attention.qkv.begin(), attention.qkv.end()), out(attention.out.size());
    weighted_sum(attention, qkv, &out);
    for (std::size_t i = 0; i < out.size(); ++i) ASSERT_NEAR(attention.out[i], out[i], 3e-6) << i;
    std::mt19937 random(3);
    for (int draw = 0; draw < 120; ++draw) {
      const std::size_t place = random() % qkv.size();
      const double kept = qkv[place], step = 1e-4;
      qkv[place] = kept + step;
      const double above = weighted_sum(attention, qkv);
      qkv[place] = kept - step;
      const double below = weighted_sum(attention, qkv);
      qkv[place] = kept;
      ASSERT_NEAR(attention.dqkv[place], (above - below) / (2 * step), 2e-5) << place;
    }
  }
}

TEST_P(HostAttention, IsTheSameForEveryThreadCountAndKeepsNan) {
  const cpu::AttentionShape shape{3, 130, 4, 64};
  ASSERT_TRUE(cpu::has_causal_attention(shape));
  const int threads = omp_get_max_threads();
  Attention one(shape), three(shape);
  omp_set_num_threads(1);
  one.run();
  omp_set_num_threads(3);
  three.run();
  omp_set_num_threads(threads);
  EXPECT_EQ(one.out, three.out);
  EXPECT_EQ(one.dqkv, three.dqkv);
  one.qkv[0] = std::nanf("");  // a query of the first row: its own result only
  one.run();
  EXPECT_TRUE(std::isnan(one.out[0]));
  EXPECT_FALSE(std::isnan(one.out[static_cast<std::size_t>(shape.width())]));
}

TEST_P(HostAttention, ServesShortSequencesOnly) {
  EXPECT_FALSE(cpu::has_causal_attention({1, 257, 4, 64}));
  EXPECT_FALSE(cpu::has_causal_attention({1, 128, 4, 20}));
  EXPECT_FALSE(cpu::has_causal_attention({1, 128, 4, 256}));
}

}  // namespace
}  // namespace panther
