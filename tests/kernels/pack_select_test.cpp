// Selections of elements against sorting and counting.
#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "tests/kernels/pack_fixture.h"

namespace panther {
namespace {

using test::normals;

const PackKernels& kernels() { return pack_kernels(DeviceKind::cpu); }

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

TEST(PackTest, RunningMeans) {
  const auto mean = normals(40000, 8), gradient = normals(40000, 9);
  std::vector<float> out(mean.size());
  kernels().running_mean(0.75f, mean.data(), gradient.data(), 40000, out.data(), {});
  for (std::size_t i = 0; i < out.size(); ++i) ASSERT_NEAR(out[i], 0.75 * static_cast<double>(mean[i]) + 0.25 * static_cast<double>(gradient[i]), 1e-6);
}

}  // namespace
}  // namespace panther
