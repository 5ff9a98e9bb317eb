#include <gtest/gtest.h>
#include <omp.h>

#include "core/error.h"
#include "core/text.h"
#include "kernels/kernel_set.h"
#include "tests/kernels/array.h"

namespace panther {
namespace {

using test::Array;
using test::Layout;

struct Case {
  std::int64_t m, n, k;
  Layout a, b, c;
  double alpha, beta;
  bool bias;
};

/// gamma_k of the accumulation dtype on the sum of magnitudes, plus one rounding of the result (Higham, Accuracy and
/// Stability, section 3.1). 2^-25 covers half of f16's subnormal step.
void expect_product(DType dtype, const Case& c) {
  SCOPED_TRACE(concat(dtype_name(dtype), " m=", c.m, " n=", c.n, " k=", c.k, " a=", layout_name(c.a), " b=", layout_name(c.b), " c=", layout_name(c.c),
                      " beta=", c.beta, " bias=", c.bias));
  const Array a = test::random_matrix(dtype, c.m, c.k, 1, c.a), b = test::random_matrix(dtype, c.k, c.n, 2, c.b);
  Array before = test::random_matrix(dtype, c.m, c.n, 3, c.c);
  if (c.beta == 0) {
    // beta == 0 must not read c.
    for (std::int64_t i = 0; i < c.m; ++i) {
      for (std::int64_t j = 0; j < c.n; ++j) before.set(i, j, std::numeric_limits<double>::quiet_NaN());
    }
  }
  const Array bias = test::random_vector(dtype, c.n, 4);
  Array out = before;
  cpu_kernels().gemm(c.alpha, a.view, b.view, c.beta, out.view, c.bias ? bias.view : TensorView{}, {}, {});
  const double arithmetic = dtype == DType::f64 ? 0x1p-53 : 0x1p-24;
  for (std::int64_t i = 0; i < c.m; ++i) {
    for (std::int64_t j = 0; j < c.n; ++j) {
      long double sum = 0, magnitude = 0;
      for (std::int64_t k = 0; k < c.k; ++k) {
        sum += static_cast<long double>(a.at(i, k)) * b.at(k, j);
        magnitude += std::abs(a.at(i, k) * b.at(k, j));
      }
      long double expected = c.alpha * sum, size = std::abs(c.alpha) * magnitude;
      if (c.beta != 0) expected += c.beta * before.at(i, j), size += std::abs(c.beta * before.at(i, j));
      if (c.bias) expected += bias.at(j), size += std::abs(bias.at(j));
      const double bound = static_cast<double>(arithmetic * (static_cast<long double>(c.k) + 4) * size + test::unit_roundoff(dtype) * std::abs(expected)) +
                           (dtype == DType::f16 ? 0x1p-25 : 0.0);
      ASSERT_NEAR(out.at(i, j), static_cast<double>(expected), bound) << i << "," << j;
    }
  }
}

constexpr DType kFloating[] = {DType::f64, DType::f32, DType::bf16, DType::f16};
constexpr Layout kLayouts[] = {Layout::rows, Layout::columns, Layout::padded, Layout::spread};

TEST(Gemm, EveryLayoutOfEveryOperand) {
  for (const DType dtype : kFloating) {
    for (const Layout a : kLayouts) {
      for (const Layout b : kLayouts) {
        for (const Layout c : kLayouts) {
          expect_product(dtype, {5, 19, 7, a, b, c, 1.0, 0.0, false});
          expect_product(dtype, {5, 19, 7, a, b, c, -0.5, 1.5, true});
        }
      }
    }
  }
}

TEST(Gemm, SizesAroundTheBlocks) {
  for (const DType dtype : kFloating) {
    for (const auto& [m, n, k] : {std::array<std::int64_t, 3>{1, 1, 1}, {1, 40, 9}, {40, 1, 9}, {97, 129, 257}, {6, 16, 256}, {200, 31, 70}, {13, 300, 513}}) {
      expect_product(dtype, {m, n, k, Layout::rows, Layout::rows, Layout::rows, 1.0, 0.0, true});
      expect_product(dtype, {m, n, k, Layout::columns, Layout::rows, Layout::padded, 0.25, 1.0, false});
      expect_product(dtype, {m, n, k, Layout::rows, Layout::columns, Layout::columns, 2.0, 0.5, true});
    }
  }
}

TEST(Gemm, EmptySizes) {
  for (const DType dtype : kFloating) {
    expect_product(dtype, {3, 4, 0, Layout::rows, Layout::rows, Layout::rows, 1.0, 0.0, false});
    expect_product(dtype, {3, 4, 0, Layout::rows, Layout::rows, Layout::spread, 1.0, 0.5, true});
    expect_product(dtype, {0, 4, 2, Layout::rows, Layout::rows, Layout::rows, 1.0, 0.0, true});
    expect_product(dtype, {3, 0, 2, Layout::rows, Layout::rows, Layout::rows, 1.0, 1.0, true});
  }
}

// A stride of 0 repeats a row; one column with a foreign stride is still a column.
TEST(Gemm, BroadcastAndSingleColumnStrides) {
  for (const DType dtype : kFloating) {
    Array row = test::random_matrix(dtype, 1, 6, 1), b = test::random_matrix(dtype, 6, 3, 2), out = test::make_matrix(dtype, 4, 3);
    TensorView repeated = row.view;
    repeated.shape[0] = 4;
    repeated.strides[0] = 0;
    cpu_kernels().gemm(1.0, repeated, b.view, 0.0, out.view, {}, {}, {});
    for (int i = 1; i < 4; ++i) {
      for (int j = 0; j < 3; ++j) EXPECT_EQ(out.at(i, j), out.at(0, j));
    }
    const Array wide = test::random_matrix(dtype, 6, 3, 2);
    TensorView column = wide.view;
    column.shape[1] = 1;
    Array single = test::make_matrix(dtype, 1, 1);
    cpu_kernels().gemm(1.0, row.view, column, 0.0, single.view, {}, {}, {});
    double expected = 0;
    for (int k = 0; k < 6; ++k) expected += row.at(0, k) * wide.at(k, 0);
    EXPECT_NEAR(single.at(0, 0), expected, 8 * 6 * 0x1p-24 + test::unit_roundoff(dtype) * std::abs(expected));
  }
}

TEST(Gemm, HalfPrecisionDoesNotDependOnTheThreadCount) {
  const int threads = omp_get_max_threads();
  const Array a = test::random_matrix(DType::bf16, 300, 700, 1), b = test::random_matrix(DType::bf16, 700, 200, 2);
  std::vector<Array> results;
  for (const int count : {1, 2}) {
    omp_set_num_threads(count);
    Array out = test::make_matrix(DType::bf16, 300, 200);
    cpu_kernels().gemm(1.0, a.view, b.view, 0.0, out.view, {}, {}, {});
    results.push_back(std::move(out));
  }
  omp_set_num_threads(threads);
  EXPECT_EQ(results[0].bytes, results[1].bytes);
}

TEST(Gemm, SaysWhatDoesNotFit) {
  const Array a = test::make_matrix(DType::f32, 3, 4), b = test::make_matrix(DType::f32, 5, 2), wrong = test::make_matrix(DType::bf16, 4, 2);
  Array c = test::make_matrix(DType::f32, 3, 2);
  try {
    cpu_kernels().gemm(1.0, a.view, b.view, 0.0, c.view, {}, {}, {});
    FAIL() << "no error for a [3, 4] times [5, 2]";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::InvalidArgument);
    EXPECT_NE(error.message().find("f32[5, 2]"), std::string::npos) << error.message();
  }
  EXPECT_THROW(cpu_kernels().gemm(1.0, a.view, wrong.view, 0.0, c.view, {}, {}, {}), Error);
  const Array short_bias = test::make_vector(DType::f32, 3), fitting = test::make_matrix(DType::f32, 4, 2);
  EXPECT_THROW(cpu_kernels().gemm(1.0, a.view, fitting.view, 0.0, c.view, short_bias.view, {}, {}), Error);
}

}  // namespace
}  // namespace panther
