// Kernels of gradient compression on a device against the CPU's: the same bits wherever no order of a sum is involved. Figures in a message are sizes.
#include <cmath>
#include <limits>
#include <tuple>

#include "core/text.h"
#include "tests/kernels/pack_fixture.h"

namespace panther {
namespace {

using test::difficult;
using test::expect_same;
using test::kPackSizes;
using test::Mirror;
using test::normals;
using test::PackContract;
using test::zeros;

constexpr float kNan = std::numeric_limits<float>::quiet_NaN(), kInfinity = std::numeric_limits<float>::infinity();

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
      for (const std::int64_t count : kPackSizes) {
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
  for (const std::int64_t count : kPackSizes) {
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
  for (const std::int64_t count : kPackSizes) {
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
