// Rotations and count sketches against their matrices and moments.
#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

#include "tests/kernels/pack_fixture.h"

namespace panther {
namespace {

using test::normals;
using test::squared;

const PackKernels& kernels() { return pack_kernels(DeviceKind::cpu); }

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

}  // namespace
}  // namespace panther
