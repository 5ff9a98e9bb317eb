// Kernels of gradient compression against closed forms and brute force.
#include <gtest/gtest.h>
#include <omp.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <numeric>
#include <random>
#include <tuple>

#include "kernels/element/quantize.h"
#include "kernels/pack/bit_fields.h"
#include "kernels/pack/pack_kernels.h"

namespace panther {
namespace {

const PackKernels& kernels() { return pack_kernels(DeviceKind::cpu); }

std::vector<float> normals(std::int64_t count, unsigned seed, double scale = 1) {
  std::mt19937 random(seed);
  std::normal_distribution<double> normal(0, scale);
  std::vector<float> result(static_cast<std::size_t>(count));
  for (float& v : result) v = static_cast<float>(normal(random));
  return result;
}

double squared(const std::vector<float>& values) {
  return std::inner_product(values.begin(), values.end(), values.begin(), 0.0, std::plus<>(), [](float a, float b) { return static_cast<double>(a) * b; });
}

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

TEST(PackTest, TheNumberOfThreadsChangesNoBit) {
  const auto gradient = normals(300000, 13), residual = normals(300000, 14);
  const int threads = omp_get_max_threads();
  const auto run = [&] {
    const Quantized q = quantize({3, 512}, gradient, residual);
    std::vector<float> out(600 * 4 + 500 * 4), sum(300000);
    const auto factor = normals(500 * 4, 15);
    kernels().project({.gradient = gradient.data(), .residual = residual.data(), .sum = sum.data(), .rows = 600, .columns = 500, .rank = 4,
                       .factor_RN = factor.data(), .projected_RM = out.data()}, {});
    std::vector<double> scratch(17);
    kernels().orthonormalize({.factor_RM = out.data(), .rows = 600, .rank = 4, .scratch_RR = scratch.data()}, {});
    kernels().project_transposed(sum.data(), 600, 500, 4, out.data(), out.data() + 2400, {});
    kernels().low_rank_update(out.data(), out.data() + 2400, 600, 500, 4, nullptr, 0.5f, sum.data(), {});
    return std::tuple(q.packed, q.next, out, sum);
  };
  omp_set_num_threads(1);
  const auto one = run();
  omp_set_num_threads(3);
  EXPECT_EQ(run(), one);
  omp_set_num_threads(threads);
}

TEST(PackTest, LowRankKernelsAreTheProducts) {
  for (const auto& [rows, columns, rank] : {std::tuple{1, 1, 1}, {3, 5, 2}, {17, 9, 4}, {64, 130, 7}, {130, 301, 5}, {7, 1000, 3}}) {
    const auto gradient = normals(rows * columns, 16), residual = normals(rows * columns, 17);
    const auto q = normals(columns * rank, 18), p = normals(rows * rank, 19);
    std::vector<float> sum(gradient.size()), projected(static_cast<std::size_t>(rows * rank)), transposed(static_cast<std::size_t>(columns * rank));
    kernels().project({.gradient = gradient.data(), .residual = residual.data(), .sum = sum.data(), .rows = rows, .columns = columns, .rank = rank,
                       .factor_RN = q.data(), .projected_RM = projected.data()}, {});
    kernels().project_transposed(sum.data(), rows, columns, rank, p.data(), transposed.data(), {});
    std::vector<float> product(gradient.size()), next = sum;
    kernels().low_rank_update(p.data(), q.data(), rows, columns, rank, product.data(), 0.25f, next.data(), {});
    const auto at = [](std::int64_t i, std::int64_t length, std::int64_t j) { return static_cast<std::size_t>(i * length + j); };
    for (std::int64_t i = 0; i < rows; ++i) {
      for (std::int64_t j = 0; j < columns; ++j) {
        ASSERT_EQ(sum[at(i, columns, j)], gradient[at(i, columns, j)] + residual[at(i, columns, j)]);
        double exact = 0, absolute = 0;
        for (std::int64_t r = 0; r < rank; ++r) {
          const double term = static_cast<double>(p[at(r, rows, i)]) * static_cast<double>(q[at(r, columns, j)]);
          exact += term;
          absolute += std::abs(term);
        }
        ASSERT_NEAR(product[at(i, columns, j)], exact, (rank + 1) * 0x1p-24 * absolute);
        ASSERT_EQ(next[at(i, columns, j)], sum[at(i, columns, j)] - 0.25f * product[at(i, columns, j)]);
      }
    }
    for (std::int64_t r = 0; r < rank; ++r) {
      for (std::int64_t i = 0; i < rows; ++i) {
        double exact = 0, absolute = 0;
        for (std::int64_t j = 0; j < columns; ++j) {
          exact += static_cast<double>(sum[at(i, columns, j)]) * static_cast<double>(q[at(r, columns, j)]);
          absolute += std::abs(static_cast<double>(sum[at(i, columns, j)]) * static_cast<double>(q[at(r, columns, j)]));
        }
        ASSERT_NEAR(projected[at(r, rows, i)], exact, columns * 0x1p-24 * absolute);
      }
      for (std::int64_t j = 0; j < columns; ++j) {
        double exact = 0, absolute = 0;
        for (std::int64_t i = 0; i < rows; ++i) {
          exact += static_cast<double>(sum[at(i, columns, j)]) * static_cast<double>(p[at(r, rows, i)]);
          absolute += std::abs(static_cast<double>(sum[at(i, columns, j)]) * static_cast<double>(p[at(r, rows, i)]));
        }
        ASSERT_NEAR(transposed[at(r, columns, j)], exact, (rows + 4) * 0x1p-24 * absolute);
      }
    }
  }
}

/// Orthonormal to f32 rounding, the same span, for well and badly conditioned columns of any scale; dependent columns become zero.
TEST(PackTest, OrthonormalColumnsSpanTheSame) {
  constexpr std::int64_t kRows = 700, kRank = 6;
  for (const double scale : {1.0, 1e-30, 1e15}) {
    for (const double closeness : {1.0, 1e-3}) {
      auto factor = normals(kRows * kRank, 20, scale);
      for (std::int64_t i = 0; i < kRows; ++i) {  // column 3 leans on column 0
        auto& x = factor[static_cast<std::size_t>(3 * kRows + i)];
        x = static_cast<float>(static_cast<double>(factor[static_cast<std::size_t>(i)]) + closeness * static_cast<double>(x));
      }
      const auto before = factor;
      std::vector<double> scratch(kRank * kRank + 1);
      kernels().orthonormalize({.factor_RM = factor.data(), .rows = kRows, .rank = kRank, .scratch_RR = scratch.data()}, {});
      const auto dot = [&](const std::vector<float>& a, std::int64_t r, const std::vector<float>& b, std::int64_t s) {
        double sum = 0;
        for (std::int64_t i = 0; i < kRows; ++i) sum += static_cast<double>(a[static_cast<std::size_t>(r * kRows + i)]) * static_cast<double>(b[static_cast<std::size_t>(s * kRows + i)]);
        return sum;
      };
      for (std::int64_t r = 0; r < kRank; ++r) {
        for (std::int64_t s = 0; s < kRank; ++s) EXPECT_NEAR(dot(factor, r, factor, s), r == s ? 1 : 0, 1e-6);
        double inside = 0;
        for (std::int64_t s = 0; s < kRank; ++s) inside += std::pow(dot(before, r, factor, s), 2);
        EXPECT_NEAR(inside / dot(before, r, before, r), 1, 1e-6);
      }
    }
  }
  auto dependent = normals(kRows * 3, 21);
  for (std::int64_t i = 0; i < kRows; ++i) dependent[static_cast<std::size_t>(kRows + i)] = 2 * dependent[static_cast<std::size_t>(i)];
  std::vector<double> scratch(10);
  kernels().orthonormalize({.factor_RM = dependent.data(), .rows = kRows, .rank = 3, .scratch_RR = scratch.data()}, {});
  EXPECT_TRUE(std::none_of(dependent.begin(), dependent.begin() + kRows, [](float v) { return v == 0; }));
  EXPECT_TRUE(std::all_of(dependent.begin() + kRows, dependent.begin() + 2 * kRows, [](float v) { return v == 0; }));
  std::vector<float> zeros(kRows * 3, 0.0f);
  kernels().orthonormalize({.factor_RM = zeros.data(), .rows = kRows, .rank = 3, .scratch_RR = scratch.data()}, {});
  EXPECT_TRUE(std::all_of(zeros.begin(), zeros.end(), [](float v) { return v == 0; }));
  // Asked to, both start again at random, orthonormal to what there is.
  for (std::vector<float>* factor : {&dependent, &zeros}) {
    kernels().orthonormalize({.factor_RM = factor->data(), .rows = kRows, .rank = 3, .scratch_RR = scratch.data(), .complete = true, .key = 5, .step = 7}, {});
    for (std::int64_t r = 0; r < 3; ++r) {
      for (std::int64_t t = 0; t <= r; ++t) {
        const auto at = factor->begin();
        EXPECT_NEAR(std::inner_product(at + r * kRows, at + (r + 1) * kRows, at + t * kRows, 0.0), r == t ? 1 : 0, 1e-6);
      }
    }
  }
}

TEST(PackTest, TopKIsTheSortedHead) {
  std::vector<std::uint32_t> scratch(kTopKScratch);
  for (const std::int64_t count : {1, 5, 17, 1000, 100003}) {
    for (const std::int64_t k : {std::int64_t{1}, (count + 9) / 10, count}) {
      for (const bool tied : {false, true}) {
        auto gradient = normals(count, 22);
        const auto residual = tied ? std::vector<float>(static_cast<std::size_t>(count), 0.0f) : normals(count, 23);
        if (tied) for (float& v : gradient) v = std::round(2 * v) / 2;
        std::vector<float> v(gradient.size()), next(gradient.size()), values(static_cast<std::size_t>(k));
        for (std::size_t i = 0; i < v.size(); ++i) v[i] = gradient[i] + residual[i];
        std::vector<std::uint32_t> order(v.size()), indices(static_cast<std::size_t>(k));
        std::iota(order.begin(), order.end(), 0u);
        std::stable_sort(order.begin(), order.end(), [&](std::uint32_t a, std::uint32_t b) { return std::abs(v[a]) > std::abs(v[b]); });
        order.resize(static_cast<std::size_t>(k));
        std::sort(order.begin(), order.end());
        kernels().top_k({.gradient = gradient.data(), .residual = residual.data(), .next = next.data(), .count = count, .k = k, .indices = indices.data(),
                         .values = values.data(), .scratch = scratch.data()}, {});
        ASSERT_EQ(indices, order) << count << " " << k << " " << tied;
        for (std::size_t j = 0; j < order.size(); ++j) {
          ASSERT_EQ(values[j], v[order[j]]);
          v[order[j]] = 0;
        }
        ASSERT_EQ(next, v);
      }
    }
  }
  std::vector<float> values{1, std::numeric_limits<float>::infinity(), 3, std::numeric_limits<float>::quiet_NaN()}, next(4), found(1);
  std::uint32_t index = 0;
  kernels().top_k({.gradient = values.data(), .next = next.data(), .count = 4, .k = 1, .indices = &index, .values = found.data(), .scratch = scratch.data()}, {});
  EXPECT_EQ(index, 3u);
}

/// Every element of a group of 10 is chosen with probability 1/10: 2000 steps x 1000 elements, |z| < 6 fails by chance below 1e-5.
TEST(PackTest, SamplesEveryElementAlike) {
  constexpr std::int64_t kCount = 1003, kStride = 10, kSteps = 2000;
  const auto gradient = normals(kCount, 24), residual = normals(kCount, 25);
  std::vector<int> chosen(kCount);
  std::vector<float> next(kCount), values((kCount + kStride - 1) / kStride), out(kCount);
  float alarm = 0;
  for (std::uint64_t step = 0; step < kSteps; ++step) {
    kernels().sample({.gradient = gradient.data(), .residual = residual.data(), .next = next.data(), .count = kCount, .stride = kStride, .key = 9,
                                  .step = step, .values = values.data(), .alarm = &alarm}, {});
    ASSERT_EQ(alarm, 0);
    kernels().place(values.data(), kCount, kStride, 9, step, out.data(), {});
    for (std::size_t i = 0; i < kCount; ++i) {
      chosen[i] += out[i] != 0 ? 1 : 0;
      ASSERT_EQ(next[i] + out[i], gradient[i] + residual[i]);
      ASSERT_TRUE(next[i] == 0 || out[i] == 0);
    }
  }
  for (std::size_t i = 0; i < kCount; ++i) {
    const double probability = i < 1000 ? 0.1 : 1.0 / 3;
    EXPECT_LT(std::abs(chosen[i] - kSteps * probability), 6 * std::sqrt(kSteps * probability * (1 - probability))) << i;
  }
  auto poisoned = gradient;
  poisoned[500] = std::numeric_limits<float>::quiet_NaN();
  kernels().sample({.gradient = poisoned.data(), .residual = residual.data(), .next = next.data(), .count = kCount, .stride = kStride, .key = 9,
                                 .values = values.data(), .alarm = &alarm}, {});
  EXPECT_TRUE(std::isnan(alarm));
}

TEST(PackTest, TouchedRowsHaveAnyBit) {
  constexpr std::int64_t kRows = 133, kColumns = 70;
  std::vector<float> values(kRows * kColumns, 0.0f);
  values[3 * kColumns + 69] = 1e-45f;
  values[64 * kColumns] = -0.0f;
  values[132 * kColumns + 5] = std::numeric_limits<float>::quiet_NaN();
  std::vector<std::uint8_t> bitmap((kRows + 7) / 8, 0xff);
  kernels().touched_rows(values.data(), kRows, kColumns, bitmap.data(), {});
  std::vector<std::int64_t> rows;
  for (std::int64_t i = 0; i < 8 * static_cast<std::int64_t>(bitmap.size()); ++i) {
    if ((bitmap[static_cast<std::size_t>(i / 8)] >> (i % 8) & 1) != 0) rows.push_back(i);
  }
  EXPECT_EQ(rows, (std::vector<std::int64_t>{3, 64, 132}));
}

/// The matrix of the transform, from unit vectors.
std::vector<std::vector<float>> rotation(std::int64_t count, std::uint64_t key, std::uint64_t step) {
  std::vector<std::vector<float>> columns;
  for (std::int64_t p = 0; p < count; ++p) {
    std::vector<float> x(static_cast<std::size_t>(count), 0.0f);
    x[static_cast<std::size_t>(p)] = 1;
    kernels().rotate({.in = x.data(), .out = x.data(), .count = count, .key = key, .step = step}, {});
    columns.push_back(x);
  }
  return columns;
}

TEST(PackTest, RotationsAreSignedHadamardMatricesOfPieces) {
  for (const std::int64_t count : {1, 7, 64, 72, 200}) {
    const auto columns = rotation(count, 5, 9);
    std::int64_t begin = 0;
    for (std::int64_t left = count; left > 0;) {
      std::int64_t piece = 4096;
      while (piece > left) piece /= 2;
      for (std::int64_t p = 0; p < count; ++p) {
        const auto& column = columns[static_cast<std::size_t>(p)];
        const bool inside = p >= begin && p < begin + piece;
        const float sign = inside ? column[static_cast<std::size_t>(begin)] : 0.0f;  // row 0 of H is all ones
        for (std::int64_t i = begin; i < begin + piece; ++i) {
          const bool odd = std::popcount(static_cast<std::uint64_t>((i - begin) & (p - begin))) % 2 != 0;
          ASSERT_FLOAT_EQ(column[static_cast<std::size_t>(i)], inside ? (odd ? -sign : sign) : 0.0f) << count << " " << i << " " << p;
        }
        if (inside) {
          ASSERT_NEAR(std::abs(sign), 1 / std::sqrt(static_cast<double>(piece)), 1e-7);
        }
      }
      begin += piece;
      left -= piece;
    }
  }
}

TEST(PackTest, RotationsComeBackAndTakeOtherSignsAtEveryStep) {
  for (const std::int64_t count : {1, 100, 4096, 5000, 20011}) {
    const auto v = normals(count, 3), residual = normals(count, 4, 0.1);
    std::vector<float> out(v.size()), other(v.size()), back(v.size());
    float alarm = 0;
    kernels().rotate({.in = v.data(), .residual = residual.data(), .out = out.data(), .count = count, .key = 1, .step = 2, .alarm = &alarm}, {});
    EXPECT_EQ(alarm, 0);
    kernels().rotate({.in = v.data(), .residual = residual.data(), .out = other.data(), .count = count, .key = 1, .step = 3}, {});
    if (count > 1) {
      EXPECT_NE(out, other);
    }
    kernels().rotate({.in = out.data(), .out = back.data(), .count = count, .key = 1, .step = 2, .inverse = true}, {});
    // Two transforms of 12 stages: rounding of some units of the largest value.
    for (std::size_t i = 0; i < v.size(); ++i) ASSERT_NEAR(back[i], v[i] + residual[i], 40 * 0x1p-24 * 5);
    auto poisoned = v;
    poisoned.back() = std::numeric_limits<float>::infinity();
    kernels().rotate({.in = poisoned.data(), .out = out.data(), .count = count, .key = 1, .step = 2, .alarm = &alarm}, {});
    EXPECT_TRUE(std::isnan(alarm));
  }
  // Signs of a step are balanced: of 20000, within 5 standard deviations.
  std::int64_t ones = 0;
  for (std::uint64_t step = 0; step < 20000; ++step) {
    const float one = 1;
    float rotated = 0;
    kernels().rotate({.in = &one, .out = &rotated, .count = 1, .key = 8, .step = step}, {});
    ones += rotated > 0 ? 1 : 0;
  }
  EXPECT_NEAR(static_cast<double>(ones), 10000, 5 * std::sqrt(5000.0));
}

/// Where row `row` puts element i, and with which sign: from a sketch of the unit vector.
std::pair<std::int64_t, float> place_of(const CountSketch& sketch, std::int64_t count, std::int64_t i, std::int64_t row) {
  std::vector<float> unit(static_cast<std::size_t>(count), 0.0f), sum(unit), cells(static_cast<std::size_t>(sketch.rows * sketch.columns));
  unit[static_cast<std::size_t>(i)] = 1;
  kernels().count_sketch_insert({.sketch = sketch, .gradient = unit.data(), .sum = sum.data(), .count = count, .cells = cells.data()}, {});
  std::pair<std::int64_t, float> found{-1, 0.0f};
  for (std::int64_t j = 0; j < sketch.columns; ++j) {
    const float cell = cells[static_cast<std::size_t>(row * sketch.columns + j)];
    if (cell == 0) continue;
    EXPECT_EQ(found.first, -1) << "one cell per row";
    found = {j, cell};
  }
  return found;
}

TEST(PackTest, CountSketchesAreSignedSumsAndMedians) {
  for (const std::int64_t rows : {1, 3, 5}) {
    for (const std::int64_t count : {1, 63, 64, 65, 700}) {
      const CountSketch sketch{.rows = rows, .columns = 128, .key = 3, .step = 4};
      const auto gradient = normals(count, 5), residual = normals(count, 6, 0.2);
      std::vector<float> sum(gradient.size()), cells(static_cast<std::size_t>(rows * 128), 7.0f), estimates(gradient.size());
      kernels().count_sketch_insert({.sketch = sketch, .gradient = gradient.data(), .residual = residual.data(), .sum = sum.data(), .count = count, .cells = cells.data()}, {});
      kernels().count_sketch_estimate(sketch, cells.data(), count, estimates.data(), {});
      std::vector<double> expected(cells.size(), 0.0);
      std::vector<std::vector<std::pair<std::int64_t, float>>> places(gradient.size());
      for (std::int64_t i = 0; i < count; ++i) {
        const auto at = static_cast<std::size_t>(i);
        EXPECT_EQ(sum[at], gradient[at] + residual[at]);
        for (std::int64_t row = 0; row < rows; ++row) {
          places[at].push_back(place_of(sketch, count, i, row));
          ASSERT_EQ(std::abs(places[at].back().second), 1.0f);
          expected[static_cast<std::size_t>(row * 128 + places[at].back().first)] += static_cast<double>(places[at].back().second) * static_cast<double>(sum[at]);
        }
      }
      for (std::size_t j = 0; j < cells.size(); ++j) ASSERT_NEAR(cells[j], expected[j], 1e-5);
      for (std::size_t i = 0; i < gradient.size(); ++i) {
        std::vector<float> values;
        for (std::int64_t row = 0; row < rows; ++row) values.push_back(places[i][static_cast<std::size_t>(row)].second * cells[static_cast<std::size_t>(row * 128 + places[i][static_cast<std::size_t>(row)].first)]);
        std::sort(values.begin(), values.end());
        ASSERT_EQ(estimates[i], values[values.size() / 2]);
      }
    }
  }
}

/// One row: unbiased, variance (||v||^2 - v_i^2) / columns.
TEST(PackTest, EstimatesOfOneRowAreUnbiasedWithTheVarianceOfTheFormula) {
  constexpr std::int64_t kCount = 2048, kColumns = 256;
  constexpr int kDraws = 4000;
  const auto v = normals(kCount, 7);
  const double whole = squared(v);
  std::vector<float> sum(v.size()), cells(kColumns), estimates(v.size());
  std::vector<double> mean(v.size(), 0.0), square(v.size(), 0.0);
  for (std::uint64_t step = 0; step < kDraws; ++step) {
    const CountSketch sketch{.rows = 1, .columns = kColumns, .key = 11, .step = step};
    kernels().count_sketch_insert({.sketch = sketch, .gradient = v.data(), .sum = sum.data(), .count = kCount, .cells = cells.data()}, {});
    kernels().count_sketch_estimate(sketch, cells.data(), kCount, estimates.data(), {});
    for (std::size_t i = 0; i < v.size(); ++i) {
      const double error = static_cast<double>(estimates[i]) - static_cast<double>(v[i]);
      mean[i] += error / kDraws;
      square[i] += error * error / kDraws;
    }
  }
  double variance = 0;
  for (std::size_t i = 0; i < v.size(); ++i) {
    // Elements meet those of equal place in their blocks only, so variances differ; each mean is within 6 of its own standard errors.
    EXPECT_NEAR(mean[i], 0, 6 * std::sqrt(square[i] / kDraws)) << i;
    variance += square[i] / kCount;
  }
  EXPECT_NEAR(variance / (whole / kColumns), 1, 0.05);
}

TEST(PackTest, RunningMeans) {
  const auto mean = normals(40000, 8), gradient = normals(40000, 9);
  std::vector<float> out(mean.size());
  kernels().running_mean(0.75f, mean.data(), gradient.data(), 40000, out.data(), {});
  for (std::size_t i = 0; i < out.size(); ++i) ASSERT_NEAR(out[i], 0.75 * static_cast<double>(mean[i]) + 0.25 * static_cast<double>(gradient[i]), 1e-6);
}

}  // namespace
}  // namespace panther
