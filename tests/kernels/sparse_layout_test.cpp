// Tall products take different ways by the layout of their data; the sums and their order are one.
#include <gtest/gtest.h>
#include <omp.h>

#include <vector>

#include "kernels/sketch/operator.h"
#include "tests/kernels/array.h"

namespace panther {
namespace {

using test::Array;
using test::Layout;

constexpr std::int64_t kLong = 5000, kShort = 96;

template <class T>
void expect_plain_sums(const SketchOperator& sketch, bool transpose, const SketchBlock& block, const Array& a, const Array& out) {
  const Array s = test::make_matrix(DType::f64, transpose ? kLong : out.view.shape[0], transpose ? out.view.shape[0] : kLong);
  sketch.materialize({}, block, 1.0, s.view);
  const std::int64_t columns = a.view.shape[1];
  for (std::int64_t m = 0; m < out.view.shape[0]; ++m) {
    std::vector<T> sum(static_cast<std::size_t>(columns));
    for (std::int64_t j = 0; j < kLong; ++j) {
      const auto entry = static_cast<T>(transpose ? s.at(j, m) : s.at(m, j));
      if (entry == 0) continue;
      for (std::int64_t c = 0; c < columns; ++c) {
        const T term = entry * static_cast<T>(a.at(j, c));
        sum[static_cast<std::size_t>(c)] = sum[static_cast<std::size_t>(c)] + term;
      }
    }
    for (std::int64_t c = 0; c < columns; ++c) ASSERT_EQ(out.at(m, c), sum[static_cast<std::size_t>(c)]) << "place " << m << ", column " << c;
  }
}

template <class T>
void expect_one_result(DType dtype, const SketchSpec& spec, bool transpose, const SketchBlock& block, std::int64_t columns) {
  const auto sketch = make_sketch(spec);
  const std::int64_t places = transpose ? (block.columns >= 0 ? block.columns : kShort) : (block.rows >= 0 ? block.rows : kShort);
  for (const Layout layout : {Layout::rows, Layout::padded, Layout::columns}) {
    const Array a = test::random_matrix(dtype, kLong, columns, 3, layout), out = test::make_matrix(dtype, places, columns);
    for (const int threads : {1, 2}) {
      omp_set_num_threads(threads);
      sketch->apply({}, transpose, block, 1.0, a.view, 0.0, out.view);
      expect_plain_sums<T>(*sketch, transpose, block, a, out);
    }
  }
}

template <class T>
void expect_one_result(DType dtype, std::int64_t columns) {
  SCOPED_TRACE(columns);
  expect_one_result<T>(dtype, {.kind = "saso", .rows = kShort, .columns = kLong, .seed = 2}, false, {}, columns);
  expect_one_result<T>(dtype, {.kind = "saso", .rows = kShort, .columns = kLong, .seed = 2}, false, {.first_row = 7, .rows = 50}, columns);
  expect_one_result<T>(dtype, {.kind = "count_sketch", .rows = kShort, .columns = kLong, .seed = 3}, false, {}, columns);
  expect_one_result<T>(dtype, {.kind = "laso", .rows = kLong, .columns = kShort, .seed = 4, .nonzeros = 3}, true, {}, columns);
}

TEST(SparseLayout, EveryLayoutAddsTheSameTermsInTheSameOrder) {
  for (const std::int64_t columns : {64, 128, 256, 300}) {
    expect_one_result<double>(DType::f64, columns);
    expect_one_result<float>(DType::f32, columns);
  }
}

}  // namespace
}  // namespace panther
