#include <gtest/gtest.h>
#include <omp.h>

#include "core/error.h"
#include "kernels/kernel_set.h"
#include "tests/kernels/array.h"

namespace panther {
namespace {

using test::Array;
using test::Layout;

constexpr DType kFloating[] = {DType::f64, DType::f32, DType::bf16, DType::f16};

std::vector<TensorView> views_of(const std::vector<Array>& arrays) {
  std::vector<TensorView> views;
  for (const Array& array : arrays) views.push_back(array.view);
  return views;
}

TEST(PackedSum, AddsInOrderAndRoundsOnce) {
  for (const DType dtype : kFloating) {
    for (const std::int64_t size : {0, 1, 7, 4096, 9001}) {
      std::vector<Array> sources;
      for (std::uint64_t s = 0; s < 5; ++s) sources.push_back(test::random_vector(dtype, size, s));
      Array out = test::random_vector(dtype, size, 9);
      cpu_kernels().packed_sum(views_of(sources), out.view, {});
      for (std::int64_t i = 0; i < size; ++i) {
        Array expected = test::make_vector(dtype, 1);
        if (dtype == DType::f64) {
          double sum = 0;
          for (const Array& source : sources) sum = &source == &sources[0] ? source.at(i) : sum + source.at(i);
          expected.set(0, sum);
        } else {
          auto sum = static_cast<float>(sources[0].at(i));
          for (std::size_t s = 1; s < 5; ++s) sum += static_cast<float>(sources[s].at(i));
          expected.set(0, sum);
        }
        ASSERT_EQ(out.at(i), expected.at(0)) << dtype_name(dtype) << " element " << i;
      }
    }
  }
}

// 1 + 64 times 2^-9 in bf16: each addition alone would be lost, in f32 the sum is exact and 1.125 is representable.
TEST(PackedSum, DoesNotRoundInBetween) {
  std::vector<Array> sources(64, test::make_vector(DType::bf16, 1));
  sources[0].set(0, 1.0);
  for (std::size_t s = 1; s < 64; ++s) sources[s].set(0, 0x1p-9);
  Array out = test::make_vector(DType::bf16, 1);
  cpu_kernels().packed_sum(views_of(sources), out.view, {});
  EXPECT_EQ(out.at(0), 1.125);  // 1 + 63/512 = 1.123, whose nearest bf16 is 1.125
}

TEST(PackedSum, IntegersWrapAndTheDestinationMayBeASource) {
  std::int64_t longs[] = {INT64_MAX, 5}, more[] = {1, 6};
  const TensorView a(longs, DType::i64, {2}), b(more, DType::i64, {2});
  cpu_kernels().packed_sum(std::vector<TensorView>{a, b}, a, {});
  EXPECT_EQ(longs[0], INT64_MIN);
  EXPECT_EQ(longs[1], 11);
  std::uint8_t bytes[] = {200, 1}, other[] = {100, 2};
  cpu_kernels().packed_sum(std::vector<TensorView>{TensorView(bytes, DType::u8, {2}), TensorView(other, DType::u8, {2})}, TensorView(bytes, DType::u8, {2}), {});
  EXPECT_EQ(bytes[0], 44);
  EXPECT_EQ(bytes[1], 3);
}

TEST(PackedSum, RefusesWhatItCannotSum) {
  Array a = test::make_vector(DType::f32, 4), b = test::make_vector(DType::f32, 5), gaps = test::make_matrix(DType::f32, 2, 2, Layout::padded);
  EXPECT_THROW(cpu_kernels().packed_sum({}, a.view, {}), Error);
  EXPECT_THROW(cpu_kernels().packed_sum(std::vector<TensorView>{b.view}, a.view, {}), Error);
  EXPECT_THROW(cpu_kernels().packed_sum(std::vector<TensorView>{gaps.view}, a.view, {}), Error);
  EXPECT_THROW(cpu_kernels().packed_sum(std::vector<TensorView>(65, a.view), a.view, {}), Error);
}

TEST(Scale, MultipliesAndRoundsOnce) {
  for (const DType dtype : kFloating) {
    const Array before = test::random_vector(dtype, 5001, 3);
    Array out = before;
    cpu_kernels().scale(0.3, out.view, {});
    for (std::int64_t i = 0; i < 5001; ++i) {
      Array expected = test::make_vector(dtype, 1);
      expected.set(0, dtype == DType::f64 ? 0.3 * before.at(i) : static_cast<double>(0.3f * static_cast<float>(before.at(i))));
      ASSERT_EQ(out.at(i), expected.at(0));
    }
  }
}

TEST(SumOfSquares, MatchesALongDoubleSum) {
  for (const DType dtype : kFloating) {
    for (const Layout layout : {Layout::rows, Layout::columns, Layout::spread}) {
      std::vector<Array> arrays;
      long double expected = 0;
      std::int64_t count = 0;
      for (const auto& [rows, columns] : {std::array<std::int64_t, 2>{0, 3}, {1, 1}, {31, 17}, {100, 131}}) {
        arrays.push_back(test::random_matrix(dtype, rows, columns, 11, layout));
        count += rows * columns;
        for (std::int64_t i = 0; i < rows; ++i) {
          for (std::int64_t j = 0; j < columns; ++j) expected += static_cast<long double>(arrays.back().at(i, j)) * arrays.back().at(i, j);
        }
      }
      double sum = -1;
      cpu_kernels().sum_of_squares(views_of(arrays), TensorView(&sum, DType::f64, {1}), {});
      EXPECT_NEAR(sum, static_cast<double>(expected), static_cast<double>(count * expected) * 0x1p-53) << dtype_name(dtype);
    }
  }
}

TEST(SumOfSquares, SameBitsForAnyThreadCountAndLayout) {
  const int threads = omp_get_max_threads();
  const Array values = test::random_matrix(DType::f32, 700, 1001, 5), columns = [&] {
    Array copy = test::make_matrix(DType::f32, 700, 1001, Layout::columns);
    for (std::int64_t i = 0; i < 700; ++i) {
      for (std::int64_t j = 0; j < 1001; ++j) copy.set(i, j, values.at(i, j));
    }
    return copy;
  }();
  std::vector<double> sums;
  for (const int count : {1, 2, 3}) {
    omp_set_num_threads(count);
    for (const Array* array : {&values, &columns}) {
      double sum = 0;
      cpu_kernels().sum_of_squares(std::vector<TensorView>{array->view}, TensorView(&sum, DType::f64, {1}), {});
      sums.push_back(sum);
    }
  }
  omp_set_num_threads(threads);
  for (const double sum : sums) EXPECT_EQ(sum, sums[0]);
}

TEST(SumOfSquares, NonFiniteElementsShow) {
  for (const DType dtype : kFloating) {
    for (const double bad : {static_cast<double>(NAN), static_cast<double>(INFINITY), -static_cast<double>(INFINITY)}) {
      for (const std::int64_t place : {0, 4095, 4096, 5000}) {
        Array values = test::random_vector(dtype, 5001, 1);
        values.set(place, bad);
        double sum = 0;
        cpu_kernels().sum_of_squares(std::vector<TensorView>{values.view}, TensorView(&sum, DType::f64, {1}), {});
        EXPECT_FALSE(std::isfinite(sum));
        EXPECT_EQ(std::isnan(sum), std::isnan(bad));
      }
    }
  }
}

TEST(SumOfSquares, NothingIsZero) {
  double sum = 3;
  cpu_kernels().sum_of_squares({}, TensorView(&sum, DType::f64, {1}), {});
  EXPECT_EQ(sum, 0);
}

}  // namespace
}  // namespace panther
