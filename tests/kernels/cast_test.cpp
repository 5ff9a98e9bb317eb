#include <gtest/gtest.h>

#include <algorithm>
#include <cfloat>

#include "core/error.h"
#include "kernels/kernel_set.h"
#include "kernels/strided_pair.h"
#include "tests/kernels/array.h"

namespace panther {
namespace {

using test::Array;
using test::Layout;

/// The value of a 16-bit float by its definition: sign, exponent, fraction.
double half_value(std::uint16_t bits, int fraction_bits) {
  const int exponent_bits = 15 - fraction_bits, bias = (1 << (exponent_bits - 1)) - 1;
  const int exponent = (bits & 0x7fff) >> fraction_bits, fraction = bits & ((1 << fraction_bits) - 1);
  const double sign = bits & 0x8000 ? -1.0 : 1.0;
  if (exponent == (1 << exponent_bits) - 1) return fraction == 0 ? sign * INFINITY : NAN;
  if (exponent == 0) return sign * std::ldexp(fraction, 1 - bias - fraction_bits);
  return sign * std::ldexp((1 << fraction_bits) + fraction, exponent - bias - fraction_bits);
}

/// The nearest 16-bit float with ties to even: scale to units of the last place, then round as nearbyint does.
double nearest_half(double value, int fraction_bits) {
  if (std::isnan(value) || std::isinf(value) || value == 0) return value;
  const int exponent_bits = 15 - fraction_bits, bias = (1 << (exponent_bits - 1)) - 1;
  const int exponent = std::max(std::ilogb(value), 1 - bias);
  const double rounded = std::ldexp(std::nearbyint(std::ldexp(value, fraction_bits - exponent)), exponent - fraction_bits);
  const double largest = std::ldexp(2.0 - std::ldexp(1.0, -fraction_bits), bias);
  return std::abs(rounded) > largest ? std::copysign(INFINITY, value) : rounded;
}

void expect_same(double actual, double expected, double from) {
  if (std::isnan(expected)) {
    EXPECT_TRUE(std::isnan(actual)) << "from " << from;
  } else {
    EXPECT_EQ(actual, expected) << "from " << from;
    EXPECT_EQ(std::signbit(actual), std::signbit(expected)) << "from " << from;
  }
}

class HalfCast : public testing::TestWithParam<DType> {
 protected:
  int fraction_bits() const { return GetParam() == DType::bf16 ? 7 : 10; }
};

TEST_P(HalfCast, AllPatternsWidenExactlyAndComeBack) {
  Array half = test::make_vector(GetParam(), 65536), single = test::make_vector(DType::f32, 65536), back = half;
  auto* patterns = reinterpret_cast<std::uint16_t*>(half.bytes.data());
  for (int i = 0; i < 65536; ++i) patterns[i] = static_cast<std::uint16_t>(i);
  cpu_kernels().cast(half.view, single.view, {});
  cpu_kernels().cast(single.view, back.view, {});
  EXPECT_EQ(half.bytes, back.bytes);
  for (int i = 0; i < 65536; ++i) expect_same(single.at(i), half_value(static_cast<std::uint16_t>(i), fraction_bits()), i);
}

// Around every representable value: itself, the midpoint to the next, and one f32 place to either side of it.
TEST_P(HalfCast, F32RoundsToNearestEven) {
  std::vector<float> inputs;
  for (int i = 0; i < 65536; ++i) {
    const double low = half_value(static_cast<std::uint16_t>(i), fraction_bits()), high = half_value(static_cast<std::uint16_t>(i + 1), fraction_bits());
    if (!std::isfinite(low)) continue;
    const auto middle = static_cast<float>(std::isfinite(high) ? (low + high) / 2 : low * (1 + std::ldexp(1.0, -fraction_bits() - 2)));
    for (const float value : {static_cast<float>(low), middle, std::nextafterf(middle, -INFINITY), std::nextafterf(middle, INFINITY)}) inputs.push_back(value);
  }
  for (const float value : {INFINITY, -INFINITY, NAN, -NAN, 1e38f, 65519.0f, 65520.0f, 1e-45f, 1e-30f, FLT_MAX}) inputs.push_back(value);
  const auto count = static_cast<std::int64_t>(inputs.size());
  Array out = test::make_vector(GetParam(), count);
  cpu_kernels().cast(TensorView(inputs.data(), DType::f32, {count}), out.view, {});
  for (std::int64_t i = 0; i < count; ++i) expect_same(out.at(i), nearest_half(inputs[i], fraction_bits()), inputs[i]);
}

// Doubles just beside a midpoint round wrongly when they pass through f32 first.
TEST_P(HalfCast, F64RoundsOnce) {
  std::vector<double> inputs;
  for (int i = 1; i < 65536; i += 7) {
    const double low = half_value(static_cast<std::uint16_t>(i), fraction_bits()), high = half_value(static_cast<std::uint16_t>(i + 1), fraction_bits());
    if (!std::isfinite(low) || !std::isfinite(high)) continue;
    const double middle = (low + high) / 2;
    for (const double value : {middle, std::nextafter(middle, -INFINITY), std::nextafter(middle, INFINITY), low}) inputs.push_back(value);
  }
  for (const double value : {1e300, -1e300, 1e-300, 0.0, -0.0, static_cast<double>(INFINITY), static_cast<double>(NAN)}) inputs.push_back(value);
  const auto count = static_cast<std::int64_t>(inputs.size());
  Array out = test::make_vector(GetParam(), count);
  cpu_kernels().cast(TensorView(inputs.data(), DType::f64, {count}), out.view, {});
  for (std::int64_t i = 0; i < count; ++i) expect_same(out.at(i), nearest_half(inputs[i], fraction_bits()), inputs[i]);
}

INSTANTIATE_TEST_SUITE_P(Cast, HalfCast, testing::Values(DType::bf16, DType::f16),
                         [](const auto& parameter) { return std::string(dtype_name(parameter.param)); });

TEST(Cast, NanKeepsSignAndStaysNan) {
  std::uint32_t patterns[] = {0x7f800001u, 0xff800001u, 0x7fc12345u, 0xffffffffu};
  Array single = test::make_vector(DType::f32, 4), out = test::make_vector(DType::bf16, 4), half = test::make_vector(DType::f16, 4);
  std::memcpy(single.bytes.data(), patterns, sizeof patterns);
  cpu_kernels().cast(single.view, out.view, {});
  cpu_kernels().cast(single.view, half.view, {});
  for (int i = 0; i < 4; ++i) {
    EXPECT_TRUE(std::isnan(out.at(i)) && std::isnan(half.at(i))) << i;
    EXPECT_EQ(reinterpret_cast<std::uint16_t*>(out.bytes.data())[i] >> 15, patterns[i] >> 31);
  }
}

TEST(Cast, FloatsToIntegersTruncateAndSaturate) {
  const std::vector<double> inputs = {0.0, 1.9, -1.9, 254.7, 255.0, 256.0, 300.0, 2147483647.0, 2147483648.0, -2147483649.0, 1e19, -1e19, INFINITY, -INFINITY, NAN};
  const auto count = static_cast<std::int64_t>(inputs.size());
  const TensorView source(const_cast<double*>(inputs.data()), DType::f64, {count});
  Array bytes = test::make_vector(DType::u8, count), ints = test::make_vector(DType::i32, count), longs = test::make_vector(DType::i64, count);
  cpu_kernels().cast(source, bytes.view, {});
  cpu_kernels().cast(source, ints.view, {});
  cpu_kernels().cast(source, longs.view, {});
  const std::vector<int> expected_bytes = {0, 1, 0, 254, 255, 255, 255, 255, 255, 0, 255, 0, 255, 0, 0};
  for (std::int64_t i = 0; i < count; ++i) EXPECT_EQ(bytes.at(i), expected_bytes[i]) << inputs[i];
  EXPECT_EQ(ints.at(2), -1);
  EXPECT_EQ(ints.at(8), 2147483647.0);
  EXPECT_EQ(ints.at(9), -2147483648.0);
  const auto* wide = reinterpret_cast<const std::int64_t*>(longs.bytes.data());
  EXPECT_EQ(wide[8], 2147483648);
  EXPECT_EQ(wide[10], INT64_MAX);
  EXPECT_EQ(wide[11], INT64_MIN);
  EXPECT_EQ(wide[14], 0);
}

// 2^53 + 2^45 lies exactly between two bf16 values of 2^46 apart, plus 1 beyond: up, where a detour over f64 ties to even.
TEST(Cast, LargeIntegersRoundOnce) {
  const std::int64_t base = std::int64_t{1} << 53, step = base >> 7;
  std::int64_t inputs[] = {base + step / 2, base + step / 2 + 1, base + step / 2 - 1, -(base + step / 2 + 1), INT64_MIN, INT64_MAX};
  Array out = test::make_vector(DType::bf16, 6);
  cpu_kernels().cast(TensorView(inputs, DType::i64, {6}), out.view, {});
  const double expected[] = {0x1p53, 0x1p53 + 0x1p46, 0x1p53, -(0x1p53 + 0x1p46), -0x1p63, 0x1p63};
  for (int i = 0; i < 6; ++i) EXPECT_EQ(out.at(i), expected[i]) << inputs[i];
}

TEST(Cast, EveryPairAndLayout) {
  constexpr DType all[] = {DType::f64, DType::f32, DType::bf16, DType::f16, DType::i64, DType::i32, DType::u8};
  for (const DType from : all) {
    for (const DType to : all) {
      for (const Layout source_layout : {Layout::rows, Layout::columns, Layout::spread}) {
        for (const Layout layout : {Layout::rows, Layout::columns, Layout::padded}) {
          Array source = test::make_matrix(from, 9, 23, source_layout), out = test::make_matrix(to, 9, 23, layout);
          // Whole numbers up to 100 are exact in every dtype.
          for (int i = 0; i < 9; ++i) {
            for (int j = 0; j < 23; ++j) source.set(i, j, (i * 31 + j * 7) % 101);
          }
          cpu_kernels().cast(source.view, out.view, {});
          for (int i = 0; i < 9; ++i) {
            for (int j = 0; j < 23; ++j) ASSERT_EQ(out.at(i, j), (i * 31 + j * 7) % 101) << dtype_name(from) << " to " << dtype_name(to);
          }
        }
      }
    }
  }
}

TEST(Cast, PermutedFourDimensions) {
  constexpr std::int64_t shape[] = {3, 4, 5, 6};
  std::vector<float> source(360), out(360, -1.0f);
  for (int i = 0; i < 360; ++i) source[i] = static_cast<float>(i);
  TensorView from(source.data(), DType::f32, {3, 4, 5, 6}), to(out.data(), DType::f32, {3, 4, 5, 6});
  to.strides = {5, 15 * 6, 1, 15};  // stored in the order 1, 3, 0, 2
  cpu_kernels().cast(from, to, {});
  for (std::int64_t a = 0; a < shape[0]; ++a) {
    for (std::int64_t b = 0; b < shape[1]; ++b) {
      for (std::int64_t c = 0; c < shape[2]; ++c) {
        for (std::int64_t d = 0; d < shape[3]; ++d) EXPECT_EQ(out[a * 5 + b * 90 + c + d * 15], source[((a * 4 + b) * 5 + c) * 6 + d]);
      }
    }
  }
}

TEST(Cast, EmptyScalarAndMismatchedShapes) {
  Array empty = test::make_matrix(DType::f32, 0, 4), also = test::make_matrix(DType::bf16, 0, 4);
  cpu_kernels().cast(empty.view, also.view, {});
  float one = 1.5f;
  double wide = 0;
  cpu_kernels().cast(TensorView(&one, DType::f32, {}), TensorView(&wide, DType::f64, {}), {});
  EXPECT_EQ(wide, 1.5);
  Array other = test::make_matrix(DType::f32, 4, 4);
  EXPECT_THROW(cpu_kernels().cast(empty.view, other.view, {}), Error);
}

TEST(Cast, MergedDims) {
  const TensorView whole(nullptr, DType::f32, {2, 3, 4});
  EXPECT_EQ(merge_dims(whole, whole).dims, 1);
  TensorView padded = whole;
  padded.strides = {16, 5, 1};
  const StridedPair pair = merge_dims(whole, padded);
  EXPECT_EQ(pair.dims, 3);
  padded.strides = {15, 5, 1};
  const StridedPair partial = merge_dims(whole, padded);
  EXPECT_EQ(partial.dims, 2);
  EXPECT_EQ(partial.shape[0], 6);
  EXPECT_EQ(partial.second[0], 5);
}

}  // namespace
}  // namespace panther
