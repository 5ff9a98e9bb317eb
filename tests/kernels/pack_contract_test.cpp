// Every kernel of gradient compression on a device against the CPU's: the same bits wherever no order of a sum is involved. Figures in a message are sizes.
#include <algorithm>
#include <cmath>
#include <limits>
#include <tuple>

#include "core/text.h"
#include "kernels/element/quantize.h"
#include "tests/kernels/pack_fixture.h"

namespace panther {
namespace {

using test::expect_same;
using test::Mirror;
using test::normals;
using test::PackContract;

constexpr float kNan = std::numeric_limits<float>::quiet_NaN(), kInfinity = std::numeric_limits<float>::infinity();
constexpr std::int64_t kSizes[] = {1, 3, 8, 63, 64, 65, 1000, 4096, 5003, 70001};

std::vector<float> zeros(std::int64_t count) { return std::vector<float>(static_cast<std::size_t>(count), 0.0f); }

/// With what kernels must not trip over: zeros of both signs, subnormals, large values, ties.
std::vector<float> difficult(std::int64_t count, unsigned seed) {
  auto values = normals(count, seed);
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (i % 7 == 1) values[i] = 0.0f;
    if (i % 11 == 2) values[i] = -0.0f;
    if (i % 13 == 3) values[i] = 1e-42f;
    if (i % 17 == 4) values[i] = -1e30f;
    if (i % 5 == 0) values[i] = 0.5f;
  }
  return values;
}

struct Quantized {
  std::vector<std::byte> packed;
  std::vector<float> next;
};

Quantized quantize(DeviceKind device, bool shift, const QuantizeFormat& format, const std::vector<float>& gradient, const std::vector<float>& residual, bool stochastic) {
  const auto count = static_cast<std::int64_t>(gradient.size());
  Quantized result{std::vector<std::byte>(static_cast<std::size_t>(quantized_bytes(format, count)), std::byte{0xaa}), zeros(count)};
  Mirror m(device, shift);
  pack_kernels(device).quantize({.format = format, .gradient = m(gradient), .residual = m(residual), .next = m(result.next), .count = count,
                                 .packed = m(result.packed), .stochastic = stochastic, .key = 77, .step = 5}, {});
  m.fetch();
  return result;
}

std::vector<float> dequantize(DeviceKind device, const QuantizeFormat& format, const std::vector<std::byte>& packed, std::int64_t count) {
  auto out = zeros(count);
  Mirror m(device);
  const std::vector<const std::byte*> sources{m(packed)};
  pack_kernels(device).dequantize_sum(format, sources, count, false, m(out), {});
  m.fetch();
  return out;
}

// Stochastic codes follow from the largest magnitude alone and are the same bits; the others depend on sums, whose order is each device's own.
TEST_P(PackContract, QuantizeStochasticIsTheCpus) {
  for (const std::int64_t block : {8, 64, 512, 1024, 2048, 16384, 65536}) {
    for (const std::int64_t count : kSizes) {
      for (int bits = 1; bits <= 8; ++bits) {
        const bool shift = (bits + count) % 2 == 0;
        const auto gradient = difficult(count, 1), residual = normals(count, 2, 0.3);
        const Quantized a = quantize(DeviceKind::cpu, false, {bits, block}, gradient, residual, true), b = quantize(device(), shift, {bits, block}, gradient, residual, true);
        const std::string what = concat("quantize ", bits, " bits, block ", block, ", count ", count, shift ? ", shifted" : "");
        ASSERT_EQ(a.packed, b.packed) << what;
        expect_same(a.next, b.next, what);
      }
    }
  }
}

TEST_P(PackContract, QuantizeLeavesWhatIsNotDecodedAndErrsAsLittle) {
  for (const std::int64_t block : {8, 64, 512, 2048, 16384, 65536}) {
    for (const std::int64_t count : kSizes) {
      for (int bits = 1; bits <= 8; ++bits) {
        const bool shift = (bits + count) % 2 == 1;
        const auto gradient = normals(count, 3), residual = normals(count, 4, 0.3);
        const Quantized a = quantize(DeviceKind::cpu, false, {bits, block}, gradient, residual, false), b = quantize(device(), shift, {bits, block}, gradient, residual, false);
        const std::string what = concat("quantize ", bits, " bits, block ", block, ", count ", count, shift ? ", shifted" : "");
        const auto decoded = dequantize(device(), {bits, block}, b.packed, count), by_host = dequantize(DeviceKind::cpu, {bits, block}, b.packed, count);
        expect_same(decoded, by_host, "decoded: " + what);
        for (std::size_t i = 0; i < gradient.size(); ++i) ASSERT_EQ(b.next[i], gradient[i] + residual[i] - decoded[i]) << what << ", element " << i;
        // Another order of sums moves a scale by some units of f32, and the error is least at it.
        ASSERT_LE(std::abs(test::squared(a.next) - test::squared(b.next)), 1e-4 * test::squared(a.next) + 1e-9) << what;
        const std::size_t codes = static_cast<std::size_t>(quantize_blocks({bits, block}, count)) * 4 + static_cast<std::size_t>((count + 7) / 8 * bits);
        for (std::size_t i = codes; i < b.packed.size(); ++i) ASSERT_EQ(b.packed[i], std::byte{0}) << what;
      }
    }
  }
}

TEST_P(PackContract, QuantizeMarksBlocksThatAreNotFinite) {
  for (const std::int64_t block : {64, 2048, 65536}) {
    for (int bits = 1; bits <= 8; ++bits) {
      auto values = normals(2 * block + 5, 9);
      values[static_cast<std::size_t>(block + 3)] = bits % 2 == 0 ? kNan : -kInfinity;
      const Quantized q = quantize(device(), false, {bits, block}, values, {}, false);
      const auto decoded = dequantize(device(), {bits, block}, q.packed, 2 * block + 5);
      for (std::size_t i = 0; i < decoded.size(); ++i) {
        ASSERT_EQ(std::isnan(decoded[i]), static_cast<std::int64_t>(i) / block == 1) << bits << " bits, block " << block << ", element " << i;
      }
      std::vector<float> alarm{0};
      Mirror m(device());
      kernels().watch_scales(m(q.packed), 1, m(alarm), {});
      m.fetch();
      EXPECT_EQ(alarm[0], 0);
      kernels().watch_scales(m(q.packed), 3, m(alarm), {});
      m.fetch();
      EXPECT_TRUE(std::isnan(alarm[0]));
    }
  }
}

TEST_P(PackContract, DequantizeSumIsTheCpus) {
  for (int bits = 1; bits <= 8; ++bits) {
    for (const std::int64_t count : kSizes) {
      const QuantizeFormat format{bits, 64};
      std::vector<std::vector<std::byte>> packed;
      for (unsigned s = 0; s < 5; ++s) packed.push_back(quantize(DeviceKind::cpu, false, format, normals(count, s), {}, false).packed);
      for (const bool add : {false, true}) {
        const auto run = [&](DeviceKind where, bool shift) {
          auto out = normals(count, 50);
          Mirror m(where, shift);
          std::vector<const std::byte*> sources;
          for (const auto& one : packed) sources.push_back(m(one));
          pack_kernels(where).dequantize_sum(format, sources, count, add, m(out), {});
          m.fetch();
          return out;
        };
        expect_same(run(DeviceKind::cpu, false), run(device(), add), concat("dequantize ", bits, " bits, count ", count, ", add ", add));
      }
    }
  }
}

TEST_P(PackContract, RotateIsTheCpus) {
  for (const std::int64_t count : {1, 2, 7, 64, 200, 4095, 4096, 4097, 8192, 20011, 70001}) {
    for (const bool inverse : {false, true}) {
      for (const bool poisoned : {false, true}) {
        auto in = normals(count, 6);
        const auto residual = normals(count, 7, 0.1);
        if (poisoned) in[static_cast<std::size_t>(count / 2)] = kInfinity;
        const auto run = [&](DeviceKind where, bool shift) {
          auto out = in;
          std::vector<float> alarm{0};
          Mirror m(where, shift);
          pack_kernels(where).rotate({.in = m(out), .residual = m(residual), .out = m(out), .count = count, .key = 3, .step = 4, .inverse = inverse, .alarm = m(alarm)}, {});
          m.fetch();
          out.push_back(alarm[0]);
          return out;
        };
        const auto found = run(device(), inverse);
        expect_same(run(DeviceKind::cpu, false), found, concat("rotate count ", count, inverse ? ", inverse, shifted" : ""));
        EXPECT_EQ(std::isnan(found.back()), poisoned);
      }
    }
  }
}

TEST_P(PackContract, CountSketchesAreTheCpus) {
  for (const std::int64_t rows : {1, 3, 5}) {
    for (const std::int64_t columns : {64, 128, 1024}) {
      for (const std::int64_t count : kSizes) {
        const CountSketch sketch{.rows = rows, .columns = columns, .key = 3, .step = 4};
        const auto gradient = normals(count, 8), residual = normals(count, 9, 0.2);
        const auto run = [&](DeviceKind where, bool shift) {
          auto sum = zeros(count), cells = normals(rows * columns, 1), out = zeros(count);
          std::vector<std::uint32_t> scratch(static_cast<std::size_t>(count_sketch_scratch(sketch, count)), 7u);
          Mirror m(where, shift);
          pack_kernels(where).count_sketch_insert({.sketch = sketch, .gradient = m(gradient), .residual = m(residual), .sum = m(sum), .count = count, .cells = m(cells),
                                                   .scratch = m(scratch)}, {});
          pack_kernels(where).count_sketch_estimate(sketch, m(cells), count, m(out), {});
          m.fetch();
          return std::tuple(sum, cells, out);
        };
        const auto a = run(DeviceKind::cpu, false), b = run(device(), count % 2 == 0);
        const std::string what = concat("count sketch ", rows, " x ", columns, ", count ", count);
        expect_same(std::get<0>(a), std::get<0>(b), "sum: " + what);
        expect_same(std::get<1>(a), std::get<1>(b), "cells: " + what);
        expect_same(std::get<2>(a), std::get<2>(b), "estimate: " + what);
      }
    }
  }
}

TEST_P(PackContract, TopKIsTheCpus) {
  for (const std::int64_t count : {1, 5, 17, 1000, 1024, 1025, 100003, 5000000}) {
    for (const std::int64_t k : {std::int64_t{1}, (count + 99) / 100, (count + 1) / 2, count}) {
      for (const bool tied : {false, true}) {
        auto gradient = tied ? difficult(count, 10) : normals(count, 11);
        if (tied && count > 10) gradient[7] = kNan, gradient[9] = -kInfinity;
        const auto residual = tied ? std::vector<float>{} : normals(count, 12);
        const auto run = [&](DeviceKind where, bool shift) {
          auto next = zeros(count), values = zeros(k);
          std::vector<std::uint32_t> indices(static_cast<std::size_t>(k)), scratch(kTopKScratch, 7u);
          Mirror m(where, shift);
          pack_kernels(where).top_k({.gradient = m(gradient), .residual = m(residual), .next = m(next), .count = count, .k = k, .indices = m(indices), .values = m(values),
                                     .scratch = m(scratch)}, {});
          m.fetch();
          return std::tuple(indices, values, next);
        };
        const auto a = run(DeviceKind::cpu, false), b = run(device(), tied);
        const std::string what = concat("top_k ", k, " of ", count, tied ? ", tied, shifted" : "");
        ASSERT_EQ(std::get<0>(a), std::get<0>(b)) << what;
        expect_same(std::get<1>(a), std::get<1>(b), what);
        expect_same(std::get<2>(a), std::get<2>(b), what);
      }
    }
  }
}

TEST_P(PackContract, ElementsAreTakenAndPut) {
  for (const std::int64_t count : {std::int64_t{10}, std::int64_t{1000}, std::int64_t{70001}}) {
    std::vector<std::uint32_t> indices;
    for (std::int64_t i = 1; i < count; i += 3) indices.push_back(static_cast<std::uint32_t>(i));
    const auto k = static_cast<std::int64_t>(indices.size());
    for (const bool flag : {false, true}) {
      const auto run = [&](DeviceKind where) {
        auto values = normals(count, 13), out = zeros(k), sums = normals(count, 14);
        std::vector<float> alarm{0}, beyond{0};
        auto bad = indices;
        bad.back() = static_cast<std::uint32_t>(count);
        Mirror m(where, flag);
        pack_kernels(where).take_elements(m(values), m(indices), k, flag, m(out), {});
        pack_kernels(where).put_elements(m(out), m(indices), k, flag, count, m(sums), m(alarm), {});
        pack_kernels(where).put_elements(m(out), m(bad), k, flag, count, m(sums), m(beyond), {});
        m.fetch();
        EXPECT_EQ(alarm[0], 0);
        EXPECT_TRUE(std::isnan(beyond[0]));
        return std::tuple(values, out, sums);
      };
      EXPECT_EQ(run(DeviceKind::cpu), run(device())) << count;
    }
  }
}

TEST_P(PackContract, SamplesAndPlacesAreTheCpus) {
  for (const std::int64_t count : kSizes) {
    for (const std::int64_t stride : {1, 10, 100}) {
      for (const bool keep : {false, true}) {
        const auto gradient = normals(count, 15);
        const auto residual = keep ? normals(count, 16) : std::vector<float>{};
        const auto run = [&](DeviceKind where, bool shift) {
          auto next = zeros(count), values = zeros((count + stride - 1) / stride), out = normals(count, 1);
          std::vector<float> alarm{0};
          Mirror m(where, shift);
          pack_kernels(where).sample({.gradient = m(gradient), .residual = m(residual), .next = keep ? m(next) : nullptr, .count = count, .stride = stride, .key = 9, .step = 2,
                                      .unbiased = !keep, .values = m(values), .alarm = m(alarm)}, {});
          pack_kernels(where).place(m(values), count, stride, 9, 2, m(out), {});
          m.fetch();
          return std::tuple(next, values, out, alarm[0]);
        };
        EXPECT_EQ(run(DeviceKind::cpu, false), run(device(), count % 2 == 0)) << count << " by " << stride;
      }
    }
  }
}

TEST_P(PackContract, RowsAreTheCpus) {
  for (const std::int64_t columns : {1, 3, 64, 70, 1000}) {
    constexpr std::int64_t kRows = 133;
    auto values = zeros(kRows * columns);
    for (const std::int64_t row : {3, 64, 100, 132}) values[static_cast<std::size_t>(row * columns + columns - 1)] = row == 64 ? -0.0f : row == 3 ? 1e-45f : kNan;
    const std::vector<std::int64_t> rows{132, 3, 64};
    const auto packed = normals(3 * columns, 17);
    const auto run = [&](DeviceKind where, bool shift) {
      std::vector<std::uint8_t> bitmap((kRows + 7) / 8 + 3, 0xff);
      auto gathered = zeros(3 * columns), scattered = normals(kRows * columns, 18);
      const auto source = normals(kRows * columns, 19);
      Mirror m(where, shift);
      pack_kernels(where).touched_rows(m(values), kRows, columns, m(bitmap), {});
      pack_kernels(where).gather_rows(m(source), columns, m(rows), 3, m(gathered), {});
      pack_kernels(where).scatter_rows(m(packed), columns, m(rows), 3, m(scattered), {});
      m.fetch();
      return std::tuple(bitmap, gathered, scattered);
    };
    EXPECT_EQ(run(DeviceKind::cpu, false), run(device(), columns % 2 == 0)) << columns;
  }
}

TEST_P(PackContract, MeansEnergiesAndAlarms) {
  for (const std::int64_t count : kSizes) {
    const auto mean = normals(count, 20), gradient = normals(count, 21);
    const auto run = [&](DeviceKind where, bool shift) {
      auto out = zeros(count), limited = gradient, free = gradient;
      std::vector<double> sum{1.0}, scratch(kEnergyScratch), small{0.25}, nothing{0.0};
      std::vector<float> calm{0}, alarm{0};
      auto poisoned = gradient;
      poisoned.back() = kNan;
      Mirror m(where, shift);
      const PackKernels& k = pack_kernels(where);
      k.running_mean(0.75f, m(mean), m(gradient), count, m(out), {});
      k.add_energy(m(gradient), m(mean), count, m(sum), m(scratch), {});
      k.limit_energy(m(limited), count, m(sum), m(small), 0.5, {});
      k.limit_energy(m(free), count, m(sum), m(nothing), 0.5, {});
      k.watch(m(gradient), count, m(calm), {});
      k.watch(m(poisoned), count, m(alarm), {});
      m.fetch();
      EXPECT_EQ(calm[0], 0);
      EXPECT_TRUE(std::isnan(alarm[0])) << count;
      EXPECT_EQ(free, gradient);
      return std::tuple(out, sum[0], limited);
    };
    const auto a = run(DeviceKind::cpu, false), b = run(device(), count % 2 == 0);
    EXPECT_EQ(std::get<0>(a), std::get<0>(b)) << count;
    EXPECT_NEAR(std::get<1>(a), std::get<1>(b), 1e-12 * std::get<1>(a)) << count;
    for (std::size_t i = 0; i < gradient.size(); ++i) ASSERT_NEAR(std::get<2>(a)[i], std::get<2>(b)[i], 1e-6 * std::abs(std::get<2>(a)[i])) << count;
  }
}

/// Sums of `depth` products: each device within its own rounding of the exact one.
TEST_P(PackContract, LowRankProducts) {
  for (const auto& [rows, columns, rank] : {std::tuple{1, 1, 1}, {3, 5, 2}, {17, 9, 4}, {64, 132, 7}, {130, 301, 5}, {7, 1000, 3}, {1000, 36, 9}, {65, 260, 32}, {40, 64, 70}, {4, 4, 0}}) {
    const auto gradient = normals(rows * columns, 22), residual = normals(rows * columns, 23), q = normals(columns * rank, 24), p = normals(rows * rank, 25);
    for (const bool keep : {true, false}) {
      const auto run = [&](DeviceKind where, bool shift) {
        auto sum = zeros(rows * columns), projected = zeros(rows * rank), transposed = zeros(columns * rank), product = zeros(rows * columns), next = gradient;
        Mirror m(where, shift);
        const PackKernels& k = pack_kernels(where);
        k.project({.gradient = m(gradient), .residual = keep ? m(residual) : nullptr, .sum = keep ? m(sum) : nullptr, .rows = rows, .columns = columns, .rank = rank,
                   .factor_RN = m(q), .projected_RM = m(projected)}, {});
        if (rank > 0) {
          k.project_transposed(m(gradient), rows, columns, rank, m(p), m(transposed), {});
          k.low_rank_update(m(p), m(q), rows, columns, rank, m(product), 0.25f, m(next), {});
        }
        m.fetch();
        return std::vector{sum, product, next, projected, transposed};
      };
      const auto a = run(DeviceKind::cpu, false), b = run(device(), !keep);
      const std::string what = concat(rows, " x ", columns, ", rank ", rank, keep ? "" : ", shifted");
      for (const std::size_t same : {0u, 1u, 2u}) expect_same(a[same], b[same], what);
      // Products of normal values reach 20; a sum's rounding grows with its length.
      for (std::size_t i = 0; i < a[3].size(); ++i) ASSERT_NEAR(a[3][i], b[3][i], 4 * columns * 0x1p-24 * 20) << "project " << what << ", element " << i;
      for (std::size_t i = 0; i < a[4].size(); ++i) ASSERT_NEAR(a[4][i], b[4][i], 4 * rows * 0x1p-24 * 20) << "project_transposed " << what << ", element " << i;
    }
  }
}

double dot(const std::vector<float>& factor, std::int64_t rows, std::int64_t a, std::int64_t b) {
  return std::inner_product(factor.begin() + a * rows, factor.begin() + (a + 1) * rows, factor.begin() + b * rows, 0.0, std::plus<>(),
                            [](float x, float y) { return static_cast<double>(x) * y; });
}

TEST_P(PackContract, OrthonormalColumnsAreTheCpusUpToRounding) {
  for (const auto& [rows, rank] : {std::tuple{1, 1}, {700, 1}, {700, 6}, {5000, 32}, {300, 128}, {400, 150}}) {
    for (const double scale : {1.0, 1e-30, 1e15}) {
      const auto factor = normals(rows * rank, 26, scale);
      const auto run = [&](DeviceKind where) {
        auto result = factor;
        std::vector<double> scratch(static_cast<std::size_t>(rank * rank + 1)), moments(2);
        Mirror m(where);
        pack_kernels(where).orthonormalize({.factor_RM = m(result), .rows = rows, .rank = rank, .scratch_RR = m(scratch)}, {});
        pack_kernels(where).spectrum(m(factor), rows, rank, m(moments), {});
        m.fetch();
        return std::pair(result, moments);
      };
      const auto a = run(DeviceKind::cpu), b = run(device()), again = run(device());
      const std::string what = concat(rows, " x ", rank, ", scale ", scale);
      EXPECT_EQ(b, again) << what;
      for (std::int64_t r = 0; r < rank; ++r) {
        for (std::int64_t s = 0; s <= r; ++s) ASSERT_NEAR(dot(b.first, rows, r, s), r == s ? 1 : 0, 1e-6) << what << ", columns " << r << " and " << s;
      }
      for (std::size_t i = 0; i < a.first.size(); ++i) ASSERT_NEAR(a.first[i], b.first[i], 1e-5) << what << ", element " << i;
      for (const std::size_t i : {0u, 1u}) EXPECT_NEAR(a.second[i], b.second[i], 1e-10 * a.second[i]) << what;
    }
  }
}

TEST_P(PackContract, DependentColumnsBecomeZeroOrStartAgain) {
  constexpr std::int64_t kRows = 700;
  for (const std::int64_t rank : {1, 3, 40}) {
    auto factor = rank == 1 ? zeros(kRows) : normals(kRows * rank, 27);
    if (rank > 1) {
      for (std::int64_t i = 0; i < kRows; ++i) factor[static_cast<std::size_t>(kRows + i)] = 2 * factor[static_cast<std::size_t>(i)];
    }
    const std::int64_t dependent = rank == 1 ? 0 : 1;
    const auto run = [&](DeviceKind where, bool complete, const std::vector<float>& from) {
      auto result = from;
      std::vector<double> scratch(static_cast<std::size_t>(rank * rank + 1));
      Mirror m(where);
      pack_kernels(where).orthonormalize({.factor_RM = m(result), .rows = kRows, .rank = rank, .scratch_RR = m(scratch), .complete = complete, .key = 5, .step = 7}, {});
      m.fetch();
      return result;
    };
    const auto zeroed = run(device(), false, factor), completed = run(device(), true, factor), by_host = run(DeviceKind::cpu, true, factor);
    for (std::int64_t i = 0; i < kRows; ++i) ASSERT_EQ(zeroed[static_cast<std::size_t>(dependent * kRows + i)], 0) << "rank " << rank << ", element " << i;
    for (std::int64_t r = 0; r < rank; ++r) {
      for (std::int64_t s = 0; s <= r; ++s) ASSERT_NEAR(dot(completed, kRows, r, s), r == s ? 1 : 0, 1e-6) << "rank " << rank << ", columns " << r << " and " << s;
    }
    for (std::size_t i = 0; i < completed.size(); ++i) ASSERT_NEAR(completed[i], by_host[i], 1e-5) << "rank " << rank << ", element " << i;
    // Where no column depends on others there is nothing to complete, and not a bit changes.
    const auto independent = normals(kRows * rank, 28);
    EXPECT_EQ(run(device(), false, independent), run(device(), true, independent)) << "rank " << rank;
  }
}

TEST_P(PackContract, NothingIsDoneForNoElements) {
  std::vector<float> one{1};
  std::vector<double> sum{3}, scratch(kEnergyScratch);
  std::vector<std::byte> packed(64);
  Mirror m(device());
  const PackKernels& k = kernels();
  k.quantize({.format = {4, 512}, .gradient = m(one), .count = 0, .packed = m(packed)}, {});
  k.running_mean(0.5f, m(one), m(one), 0, m(one), {});
  k.watch(m(one), 0, m(one), {});
  k.add_energy(m(one), nullptr, 0, m(sum), m(scratch), {});
  k.take_elements(m(one), nullptr, 0, true, m(one), {});
  k.put_elements(m(one), nullptr, 0, false, 1, m(one), nullptr, {});
  k.gather_rows(m(one), 4, nullptr, 0, m(one), {});
  k.clear(m(one), 0, {});
  m.fetch();
  EXPECT_EQ(one[0], 1);
  EXPECT_EQ(sum[0], 3);
}

INSTANTIATE_TEST_SUITE_P(Cpu, PackContract, testing::Values(DeviceKind::cpu));
INSTANTIATE_TEST_SUITE_P(Gpu, PackContract, testing::Values(DeviceKind::cuda));

}  // namespace
}  // namespace panther
