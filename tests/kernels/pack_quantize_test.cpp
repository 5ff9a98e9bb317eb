// Quantised gradients against closed forms and tables.
#include <algorithm>
#include <cmath>
#include <limits>
#include <random>

#include "kernels/element/quantize.h"
#include "kernels/pack/bit_fields.h"
#include "tests/kernels/pack_fixture.h"

namespace panther {
namespace {

using test::normals;
using test::squared;

const PackKernels& kernels() { return pack_kernels(DeviceKind::cpu); }

struct Quantized {
  std::vector<std::byte> packed;
  std::vector<float> next;
  std::vector<float> decoded;
};

Quantized quantize(const QuantizeFormat& format, const std::vector<float>& gradient, const std::vector<float>& residual = {}, bool stochastic = false,
                   std::uint64_t step = 0) {
  const auto count = static_cast<std::int64_t>(gradient.size());
  Quantized result;
  result.packed.resize(static_cast<std::size_t>(quantized_bytes(format, count)), std::byte{0xaa});
  result.next.resize(gradient.size());
  result.decoded.resize(gradient.size());
  kernels().quantize({.format = format, .gradient = gradient.data(), .residual = residual.empty() ? nullptr : residual.data(), .next = result.next.data(),
                      .count = count, .packed = result.packed.data(), .stochastic = stochastic, .key = 77, .step = step}, {});
  const std::vector<const std::byte*> sources{result.packed.data()};
  kernels().dequantize_sum(format, sources, count, false, result.decoded.data(), {});
  return result;
}

template <int kBits>
void check_fields() {
  std::mt19937_64 random(kBits);
  for (int trial = 0; trial < 200; ++trial) {
    const std::uint64_t codes = random() & lane_mask(8, kBits);
    std::uint64_t expected = 0;
    for (int i = 0; i < 8; ++i) expected |= (codes >> (8 * i) & 0xffu) << (kBits * i);
    ASSERT_EQ(pack_eight<kBits>(codes), expected);
    ASSERT_EQ(unpack_eight<kBits>(expected), codes);
  }
}

TEST(PackTest, EightCodesPackLowestFirst) {
  check_fields<1>();
  check_fields<2>();
  check_fields<3>();
  check_fields<4>();
  check_fields<5>();
  check_fields<6>();
  check_fields<7>();
  check_fields<8>();
}

TEST(PackTest, DecodedAndLeftAreTheInputForEveryWidthAndSize) {
  for (int bits = 1; bits <= 8; ++bits) {
    for (const std::int64_t block : {8, 64, 512, 4096}) {
      for (const std::int64_t count : {1, 2, 7, 8, 9, 63, 511, 512, 513, 1025, 20011}) {
        const auto gradient = normals(count, 1), residual = normals(count, 2, 0.3);
        const Quantized q = quantize({bits, block}, gradient, residual);
        for (std::size_t i = 0; i < gradient.size(); ++i) {
          const float v = gradient[i] + residual[i];
          ASSERT_EQ(q.next[i], v - q.decoded[i]) << bits << " bits, element " << i << " of " << count;
        }
      }
    }
  }
}

/// The relative squared error on normal values is that of the best uniform quantiser (Max 1960, table II, odd numbers of levels;
/// 1 - 2/pi for signs); block scales and the choice of the step may only lower it. 2^18 values: the error's own deviation is below 1 %.
TEST(PackTest, ErrorOnNormalValuesIsMaxsTable) {
  constexpr double kTable[9] = {0, 0.36338, 0.19017, 0.04686, 0.012889, 0.003693, 0.0010693, 3.0862e-4, 8.831e-5};
  const auto values = normals(1 << 18, 3);
  for (int bits = 1; bits <= 8; ++bits) {
    const double error = squared(quantize({bits, 512}, values).next) / squared(values);
    EXPECT_LT(error, 1.02 * kTable[bits]) << bits;
    // From 5 bits on steps follow the largest value of a block, at least 2.5 deviations in nearly all.
    const double step = 2.5 / quantize_limit(bits);
    EXPECT_GT(error, bits <= 4 ? 0.95 * kTable[bits] : 0.9 * step * step / 12) << bits;
  }
}

/// ||v - C(v)||^2 <= (1 - 1/d) ||v||^2 in every block, whatever the values: the largest element alone is worth that.
TEST(PackTest, ContractsEveryInput) {
  constexpr std::int64_t kBlock = 64;
  std::vector<std::vector<float>> inputs;
  inputs.push_back(normals(kBlock, 4));
  inputs.push_back(std::vector<float>(kBlock, -3.0f));
  inputs.emplace_back(kBlock, 0.0f)[5] = 1.0f;
  inputs.push_back(normals(kBlock, 5));
  for (float& v : inputs.back()) v = v * v * v * v * v;
  inputs.push_back(normals(kBlock, 6, 1e30));
  inputs.push_back(normals(kBlock, 7, 1e-42));
  inputs.push_back(std::vector<float>(kBlock, std::numeric_limits<float>::max()));
  inputs.push_back(std::vector<float>(kBlock, std::numeric_limits<float>::denorm_min()));
  for (int bits = 1; bits <= 8; ++bits) {
    for (std::size_t c = 0; c < inputs.size(); ++c) {
      const Quantized q = quantize({bits, kBlock}, inputs[c]);
      // Below L times the smallest float a scale has no room, and what is not sent stays.
      const double left = c + 1 == inputs.size() ? 1 : 1 - 0.999 / kBlock;
      EXPECT_LE(squared(q.next), left * squared(inputs[c])) << bits << " bits, input " << c;
      if (bits > 1) {
        for (std::size_t i = 0; i < kBlock; ++i) EXPECT_EQ(inputs[c][i] == 0 && q.decoded[i] != 0, false) << "a zero grew";
      }
    }
    const Quantized zero = quantize({bits, kBlock}, std::vector<float>(kBlock, 0.0f));
    EXPECT_EQ(squared(zero.decoded), 0);
    // Constant blocks are exact.
    EXPECT_EQ(squared(quantize({bits, kBlock}, inputs[1]).next), 0) << bits;
  }
}

/// 64 elements x 8 widths x 20000 draws: |z| < 6 fails by chance below 1e-6; the variance, whose relative deviation is below
/// sqrt(2 / 20000) times a kurtosis term, is right within 10 %.
TEST(PackTest, StochasticRoundingIsUnbiasedWithTheFormulasVariance) {
  constexpr std::int64_t kCount = 64;
  constexpr int kDraws = 20000;
  const auto values = normals(kCount, 8);
  const float largest = std::abs(*std::max_element(values.begin(), values.end(), [](float a, float b) { return std::abs(a) < std::abs(b); }));
  for (int bits = 1; bits <= 8; ++bits) {
    std::vector<double> sum(kCount), squares(kCount);
    for (int draw = 0; draw < kDraws; ++draw) {
      const Quantized q = quantize({bits, kCount}, values, {}, true, static_cast<std::uint64_t>(draw));
      for (std::size_t i = 0; i < kCount; ++i) {
        sum[i] += static_cast<double>(q.decoded[i]) - static_cast<double>(values[i]);
        squares[i] += std::pow(static_cast<double>(q.decoded[i]) - static_cast<double>(values[i]), 2);
      }
    }
    double measured = 0, formula = 0;
    for (std::size_t i = 0; i < kCount; ++i) {
      const double v = static_cast<double>(values[i]), step = static_cast<double>(largest) / quantize_limit(bits);
      const double f = v / step - std::floor(v / step);
      const double variance = bits == 1 ? step * step - v * v : step * step * f * (1 - f);
      measured += squares[i] / kDraws;
      formula += variance;
      // f32 rounding of the uniform's sum shifts a probability by at most 2^-17.
      EXPECT_LT(std::abs(sum[i] / kDraws), 6 * std::sqrt(variance / kDraws) + step * 0x1p-16) << bits << " bits, element " << i;
    }
    EXPECT_NEAR(measured / formula, 1, 0.1) << bits;
  }
}

TEST(PackTest, NonFiniteBlocksSayNan) {
  for (const float poison : {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity(), -std::numeric_limits<float>::infinity()}) {
    for (int bits = 1; bits <= 8; ++bits) {
      auto values = normals(100, 9);
      values[70] = poison;
      const Quantized q = quantize({bits, 64}, values);
      EXPECT_TRUE(std::isfinite(q.decoded[0]));
      EXPECT_TRUE(std::isnan(q.decoded[64]) && std::isnan(q.decoded[99]));
    }
  }
}

TEST(PackTest, SumsSourcesInOrder) {
  const QuantizeFormat format{5, 64};
  const auto a = quantize(format, normals(1000, 10)), b = quantize(format, normals(1000, 11)), c = quantize(format, normals(1000, 12));
  std::vector<float> sum(1000);
  const std::vector<const std::byte*> sources{a.packed.data(), b.packed.data(), c.packed.data()};
  kernels().dequantize_sum(format, sources, 1000, false, sum.data(), {});
  for (std::size_t i = 0; i < sum.size(); ++i) ASSERT_EQ(sum[i], (a.decoded[i] + b.decoded[i]) + c.decoded[i]);
}

}  // namespace
}  // namespace panther
