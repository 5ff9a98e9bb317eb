// The Walsh-Hadamard transform against its definition, and sampled transforms longer than one pass.
#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <numeric>

#include "core/error.h"
#include "kernels/sketch/hadamard_kernels.h"
#include "kernels/sketch/sample_plan.h"
#include "kernels/sketch/sample_rows.h"
#include "tests/kernels/sketch_fixture.h"

namespace panther {
namespace {

using test::Array;
using test::Layout;

double entry(std::int64_t i, std::int64_t p) { return std::popcount(static_cast<std::uint64_t>(i & p)) % 2 == 0 ? 1.0 : -1.0; }

class Hadamard : public testing::TestWithParam<DeviceKind> {
 protected:
  void SetUp() override {
    if (GetParam() == DeviceKind::cuda && cuda_kernels() == nullptr) GTEST_SKIP() << why_no_cuda();
  }
  static const KernelSet& kernels() { return kernels_for(GetParam()); }
  static Array transformed(const Array& x, double scale) {
    test::DeviceCopy copy(kernels(), x);
    kernels().hadamard->transform(scale, copy.view(), plain_allocator(), {});
    return copy.fetch();
  }
};

// O(n^2) from the definition in f64. A value passes log2 n additions of magnitudes that add up to `sum`.
TEST_P(Hadamard, IsTheDefinition) {
  for (const std::int64_t n : {1, 2, 4, 8, 64, 256, 1024}) {
    for (const std::int64_t columns : {1, 3, 4, 16, 37}) {
      for (const DType dtype : {DType::f64, DType::f32, DType::bf16}) {
        for (const Layout layout : {Layout::rows, Layout::columns, Layout::spread}) {
          if (n == 1024 && (columns > 4 || layout == Layout::spread)) continue;
          const Array x = test::random_matrix(dtype, n, columns, 3, layout);
          const Array y = transformed(x, 0.5);
          const double unit = dtype == DType::f64 ? 0x1p-53 : 0x1p-24;
          for (std::int64_t i = 0; i < n; i += n > 64 ? 37 : 1) {
            for (std::int64_t c = 0; c < columns; ++c) {
              double sum = 0, magnitude = 0;
              for (std::int64_t p = 0; p < n; ++p) sum += entry(i, p) * x.at(p, c), magnitude += std::abs(x.at(p, c));
              const double bound = 0.5 * unit * (std::log2(static_cast<double>(n)) + 2) * magnitude + test::unit_roundoff(dtype) * std::abs(0.5 * sum) * 1.01;
              ASSERT_NEAR(y.at(i, c), 0.5 * sum, bound) << n << "x" << columns << dtype_name(dtype) << layout_name(layout);
            }
          }
        }
      }
    }
  }
}

TEST_P(Hadamard, UndoesItself) {
  for (const std::int64_t n : {4096, 32768}) {
    for (const std::int64_t columns : {1, 20}) {
      for (const auto& [dtype, tolerance] : {std::pair{DType::f64, 1e-13}, {DType::f32, 1e-6}}) {
        const Array x = test::random_matrix(dtype, n, columns, 9);
        const double scale = 1.0 / std::sqrt(static_cast<double>(n));
        const Array back = transformed(transformed(x, scale), scale);
        double norm = 0, difference = 0;
        for (std::int64_t i = 0; i < n; ++i) {
          for (std::int64_t c = 0; c < columns; ++c) norm += x.at(i, c) * x.at(i, c), difference += std::pow(back.at(i, c) - x.at(i, c), 2);
        }
        EXPECT_LT(std::sqrt(difference / norm), tolerance) << n << "x" << columns;
      }
    }
  }
}

// Sums of few +-1 are exact in every dtype, whatever the order.
TEST_P(Hadamard, TakesBasisVectorsToItsColumns) {
  constexpr std::int64_t n = 8192;
  for (const std::int64_t p : {0, 1, 127, 4097, 8191}) {
    Array x = test::make_matrix(DType::f32, n, 5);
    for (std::int64_t i = 0; i < n * 5; ++i) x.set(i / 5, i % 5, 0);
    x.set(p, 3, 1);
    const Array y = transformed(x, 1.0);
    for (std::int64_t i = 0; i < n; ++i) {
      ASSERT_EQ(y.at(i, 3), entry(i, p));
      ASSERT_EQ(y.at(i, 2), 0);
    }
  }
}

TEST_P(Hadamard, RefusesOtherLengths) {
  test::DeviceCopy copy(kernels(), test::make_matrix(DType::f32, 12, 2));
  try {
    kernels().hadamard->transform(1.0, copy.view(), plain_allocator(), {});
    ADD_FAILURE() << "12 rows are no power of two";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::InvalidArgument);
    EXPECT_NE(error.message().find("12"), std::string::npos) << error.message();
  }
}

// Small integers: every order of additions gives the same exact sums, so expected values come from a plain transform in integers.
class SampledSrht : public Hadamard {};

std::vector<std::int64_t> plain_transform(std::vector<std::int64_t> x) {
  for (std::size_t distance = 1; distance < x.size(); distance *= 2) {
    for (std::size_t i = 0; i < x.size(); ++i) {
      if ((i & distance) != 0) continue;
      const std::int64_t a = x[i], b = x[i + distance];
      x[i] = a + b, x[i + distance] = a - b;
    }
  }
  return x;
}

Array integers(DType dtype, std::int64_t rows, std::int64_t columns, Layout layout) {
  Array a = test::make_matrix(dtype, rows, columns, layout);
  for (std::int64_t i = 0; i < rows; ++i) {
    for (std::int64_t c = 0; c < columns; ++c) a.set(i, c, static_cast<double>(static_cast<int>(mix64(static_cast<std::uint64_t>(i), static_cast<std::uint64_t>(c)) % 7) - 3));
  }
  return a;
}

struct Case {
  std::int64_t k, n, columns;
  SketchBlock block;
};

TEST_P(SampledSrht, LongProductsAreExactOnIntegers) {
  for (const Case& t : {Case{300, 20000, 37, {0, 300, 0, 20000}}, Case{5, 65536, 2, {1, 3, 40000, 9001}}, Case{2048, 40000, 1, {0, 2048, 0, 40000}},
                        Case{16384, 16384, 3, {0, 16384, 0, 16384}}, Case{700, 70000, 17, {100, 555, 7, 69000}}}) {
    const auto sketch = make_sketch({.kind = "srht", .rows = t.k, .columns = t.n, .seed = 5});
    const SignKey key = SignKey::of(5, "sketch");
    const std::int64_t size = static_cast<std::int64_t>(std::bit_ceil(static_cast<std::uint64_t>(t.n)));
    const std::vector<std::int64_t> samples = sample_without_replacement(key, size, t.k);
    for (const Layout layout : {Layout::rows, Layout::columns}) {
      const Array a = integers(DType::f32, t.block.columns, t.columns, layout);
      const Array out = test::applied(*sketch, {.kernels = kernels()}, false, t.block, 1.0, a, 0.0, test::make_matrix(DType::f32, t.block.rows, t.columns, layout));
      const Array b = integers(DType::f32, t.block.rows, t.columns, layout);
      const Array lifted = test::applied(*sketch, {.kernels = kernels()}, true, t.block, 1.0, b, 0.0, test::make_matrix(DType::f32, t.block.columns, t.columns, layout));
      const auto sign = [&](std::int64_t p) { return sign_is_negative(key, 0, static_cast<std::uint32_t>(p)) ? -1 : 1; };
      for (std::int64_t c = 0; c < t.columns; c += 5) {
        std::vector<std::int64_t> padded(static_cast<std::size_t>(size)), scattered(static_cast<std::size_t>(size));
        for (std::int64_t p = 0; p < t.block.columns; ++p) {
          const std::int64_t position = t.block.first_column + p;
          padded[static_cast<std::size_t>(position)] = sign(position) * static_cast<std::int64_t>(a.at(p, c));
        }
        for (std::int64_t i = 0; i < t.block.rows; ++i) {
          scattered[static_cast<std::size_t>(samples[static_cast<std::size_t>(t.block.first_row + i)])] = static_cast<std::int64_t>(b.at(i, c));
        }
        const std::vector<std::int64_t> forward = plain_transform(padded), backward = plain_transform(scattered);
        for (std::int64_t i = 0; i < t.block.rows; ++i) {
          ASSERT_EQ(out.at(i, c), static_cast<double>(forward[static_cast<std::size_t>(samples[static_cast<std::size_t>(t.block.first_row + i)])])) << t.n << " row " << i << " column " << c;
        }
        for (std::int64_t p = 0; p < t.block.columns; ++p) {
          const std::int64_t position = t.block.first_column + p;
          ASSERT_EQ(lifted.at(p, c), static_cast<double>(sign(position) * backward[static_cast<std::size_t>(position)])) << t.n << " position " << position;
        }
      }
    }
  }
}

// Every number of passes over tiles in registers, with columns that fill tiles and panels and columns that do not.
TEST_P(SampledSrht, WholeTransformsAreExactOnIntegers) {
  for (int bits = 0; bits <= 16; ++bits) {
    const std::int64_t n = std::int64_t{1} << bits;
    for (const std::int64_t columns : {8, 37, 64, 200}) {
      if (bits == 16 && columns > 64) continue;
      for (const DType dtype : {DType::f32, DType::f64}) {
        for (const Layout layout : {Layout::rows, Layout::padded, Layout::columns}) {
          if (bits > 10 && (columns == 64 || layout == Layout::columns)) continue;
          const Array x = integers(dtype, n, columns, layout);
          test::DeviceCopy copy(kernels(), x);
          kernels().hadamard->transform(0.5, copy.view(), plain_allocator(), {});
          const Array y = copy.fetch();
          for (const std::int64_t c : {std::int64_t{0}, columns / 3, columns - 1}) {
            std::vector<std::int64_t> column(static_cast<std::size_t>(n));
            for (std::int64_t i = 0; i < n; ++i) column[static_cast<std::size_t>(i)] = static_cast<std::int64_t>(x.at(i, c));
            const std::vector<std::int64_t> expected = plain_transform(column);
            for (std::int64_t i = 0; i < n; ++i) {
              ASSERT_EQ(y.at(i, c), 0.5 * static_cast<double>(expected[static_cast<std::size_t>(i)]))
                  << n << "x" << columns << " " << dtype_name(dtype) << " " << layout_name(layout) << ", row " << i << ", column " << c;
            }
          }
        }
      }
    }
  }
}

// Many panels of the longest transform that one launch does: H H = N I, exactly.
TEST_P(SampledSrht, ManyPanelsComeBackExactly) {
  constexpr std::int64_t n = 32768, columns = 520;
  if (GetParam() == DeviceKind::cpu) GTEST_SKIP() << "panels are the device's";
  const Array x = integers(DType::f32, n, columns, Layout::rows);
  test::DeviceCopy copy(kernels(), x);
  for (const double scale : {1.0, 1.0 / n}) kernels().hadamard->transform(scale, copy.view(), plain_allocator(), {});
  const Array y = copy.fetch();
  for (std::int64_t i = 0; i < n; ++i) {
    for (std::int64_t c = 0; c < columns; ++c) ASSERT_EQ(y.at(i, c), x.at(i, c)) << "row " << i << ", column " << c;
  }
}

// With every row sampled the scaled operator is orthogonal: S^T S = I.
TEST_P(SampledSrht, AllRowsAreAnIsometry) {
  for (const std::int64_t n : {1, 2, 3, 100, 4097}) {
    const std::int64_t size = static_cast<std::int64_t>(std::bit_ceil(static_cast<std::uint64_t>(n)));
    const auto sketch = make_sketch({.kind = "srht", .rows = size, .columns = n, .seed = 1});
    const double c = sketch->isometry_scale();
    const Array x = test::random_matrix(DType::f64, n, 2, 4);
    const Array y = test::applied(*sketch, {.kernels = kernels()}, false, {}, c, x, 0.0, test::make_matrix(DType::f64, size, 2));
    const Array back = test::applied(*sketch, {.kernels = kernels()}, true, {}, c, y, 0.0, test::make_matrix(DType::f64, n, 2));
    for (std::int64_t i = 0; i < n * 2; ++i) ASSERT_NEAR(back.at(i / 2, i % 2), x.at(i / 2, i % 2), 1e-13) << n;
  }
}

TEST(Srht, RefusesMoreRowsThanItHas) {
  EXPECT_NO_THROW(make_sketch({.kind = "srht", .rows = 128, .columns = 100}));
  EXPECT_THROW(make_sketch({.kind = "srht", .rows = 129, .columns = 100}), Error);
}

TEST(SamplePlan, GroupsEverySampleByItsLowBits) {
  const std::vector<std::int64_t> samples = sample_without_replacement(SignKey::of(3, "plan"), 1 << 12, 700);
  for (const int low_bits : {0, 5, 11, 12, 20}) {
    const SamplePlan plan = plan_samples(samples, 12, low_bits);
    EXPECT_EQ(plan.low_bits, std::min(low_bits, 12));
    EXPECT_EQ(plan.low_bits + plan.high_bits, 12);
    EXPECT_TRUE(std::is_sorted(plan.low.begin(), plan.low.end()));
    std::vector<int> seen(samples.size());
    for (std::int64_t g = 0; g < plan.groups(); ++g) {
      const auto group = static_cast<std::size_t>(g);
      EXPECT_LT(plan.begin[group], plan.begin[group + 1]) << "no empty groups";
      EXPECT_TRUE(g == 0 || plan.low[group - 1] < plan.low[group]);
      for (auto e = static_cast<std::size_t>(plan.begin[group]); e < static_cast<std::size_t>(plan.begin[group + 1]); ++e) {
        ++seen[static_cast<std::size_t>(plan.output[e])];
        EXPECT_EQ(samples[static_cast<std::size_t>(plan.output[e])], plan.high[e] << plan.low_bits | plan.low[group]);
      }
    }
    EXPECT_EQ(seen, std::vector<int>(samples.size(), 1));
  }
  EXPECT_EQ(plan_samples({}, 3, 2).groups(), 0);
}

INSTANTIATE_TEST_SUITE_P(Cpu, Hadamard, testing::Values(DeviceKind::cpu));
INSTANTIATE_TEST_SUITE_P(Gpu, Hadamard, testing::Values(DeviceKind::cuda));
INSTANTIATE_TEST_SUITE_P(Cpu, SampledSrht, testing::Values(DeviceKind::cpu));
INSTANTIATE_TEST_SUITE_P(Gpu, SampledSrht, testing::Values(DeviceKind::cuda));

}  // namespace
}  // namespace panther
