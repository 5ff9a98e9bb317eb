#include "kernels/cpu/tile_gemm.h"

#include <gtest/gtest.h>
#include <omp.h>

#include <cmath>

#include "core/text.h"
#include "kernels/cpu/tile_kernels.h"
#include "tests/kernels/array.h"
#include "tests/kernels/tile_forms.h"

namespace panther {
namespace {

using test::Array;
using test::Layout;

/// Against f64, within gamma_k of f32 on the sum of magnitudes (Higham, Accuracy and Stability, section 3.1). Names the case.
void expect_product(std::int64_t m, std::int64_t n, std::int64_t k, Layout a_layout, Layout b_layout, Layout c_layout, double beta, bool biased) {
  SCOPED_TRACE(concat("m=", m, " n=", n, " k=", k, " a=", layout_name(a_layout), " b=", layout_name(b_layout), " c=", layout_name(c_layout), " beta=", beta));
  const Array a = test::random_matrix(DType::f32, m, k, 1, a_layout), b = test::random_matrix(DType::f32, k, n, 2, b_layout);
  Array before = test::random_matrix(DType::f32, m, n, 3, c_layout);
  if (beta == 0) {
    for (std::int64_t i = 0; i < m; ++i) {
      for (std::int64_t j = 0; j < n; ++j) before.set(i, j, std::nan(""));
    }
  }
  const Array bias = test::random_vector(DType::f32, n, 4);
  Array out = before;
  ASSERT_TRUE(cpu::tile_gemm(-0.75, a.view, b.view, beta, out.view, biased ? bias.view : TensorView{}));
  for (std::int64_t i = 0; i < m; ++i) {
    for (std::int64_t j = 0; j < n; ++j) {
      double sum = 0, size = 0;
      for (std::int64_t p = 0; p < k; ++p) {
        sum += a.at(i, p) * b.at(p, j);
        size += std::abs(a.at(i, p) * b.at(p, j));
      }
      double expected = -0.75 * sum;
      if (beta != 0) expected += beta * before.at(i, j), size += std::abs(beta * before.at(i, j));
      if (biased) expected += bias.at(j), size += std::abs(bias.at(j));
      ASSERT_NEAR(out.at(i, j), expected, 0x1p-24 * static_cast<double>(k + 4) * size) << i << "," << j;
    }
  }
}

class TileGemm : public ::testing::Test {
 protected:
  void SetUp() override {
    if (test::tile_forms().empty()) GTEST_SKIP() << "not on this processor";
  }
};

TEST(TileForm, FollowsTheProcessor) {
  using cpu::TileForm;
  EXPECT_EQ(cpu::tile_form({}), TileForm::none);
  EXPECT_EQ(cpu::tile_form({.avx2 = true}), TileForm::avx2);
  EXPECT_EQ(cpu::tile_form({.avx2 = true, .avx512 = true}), TileForm::avx512);
  EXPECT_TRUE(cpu::tiles_take_products({.avx2 = true}));
  EXPECT_TRUE(cpu::tiles_take_products({.avx2 = true, .amd = true}));
  EXPECT_TRUE(cpu::tiles_take_products({.avx2 = true, .avx512 = true, .amd = true}));
  EXPECT_FALSE(cpu::tiles_take_products({.avx2 = true, .avx512 = true}));
}

TEST_F(TileGemm, EveryLayoutAtSizesAroundTheBlocks) {
  for (const cpu::TileKernels* form : test::tile_forms()) {
    SCOPED_TRACE(form->name);
    const test::WithTileForm with(form);
    for (const auto& [m, n, k] : {std::array<std::int64_t, 3>{32, 16, 16}, {33, 17, 19}, {97, 271, 257}, {200, 31, 70}, {98, 64, 513}, {101, 256, 1024}}) {
      for (const Layout a : {Layout::rows, Layout::columns, Layout::padded, Layout::spread}) {
        for (const Layout b : {Layout::rows, Layout::columns, Layout::spread}) {
          expect_product(m, n, k, a, b, Layout::rows, 0.0, true);
          expect_product(m, n, k, a, b, Layout::padded, 1.5, false);
        }
      }
    }
  }
}

/// Every remainder of rows and columns by either form's tile.
TEST_F(TileGemm, EveryEdgeOfATile) {
  for (const cpu::TileKernels* form : test::tile_forms()) {
    SCOPED_TRACE(form->name);
    const test::WithTileForm with(form);
    for (std::int64_t m = 32; m < 32 + form->rows; ++m) {
      for (std::int64_t n = 64; n < 64 + form->columns; ++n) {
        expect_product(m, n, 21, m % 2 == 0 ? Layout::rows : Layout::columns, Layout::rows, Layout::padded, 0.5, true);
      }
    }
  }
}

/// Replicas on different processors then take the same step.
TEST_F(TileGemm, GivesTheSameBitsInEveryForm) {
  const auto forms = test::tile_forms();
  if (forms.size() < 2) GTEST_SKIP() << "this processor has one form";
  for (const Layout layout : {Layout::rows, Layout::columns}) {
    const Array a = test::random_matrix(DType::f32, 75, 700, 1, layout), b = test::random_matrix(DType::f32, 700, 290, 2, layout);
    std::vector<Array> results;
    for (const cpu::TileKernels* form : forms) {
      const test::WithTileForm with(form);
      Array out = test::random_matrix(DType::f32, 75, 290, 3);
      ASSERT_TRUE(cpu::tile_gemm(1.25, a.view, b.view, 0.5, out.view, {}));
      results.push_back(std::move(out));
    }
    EXPECT_EQ(results[0].bytes, results[1].bytes);
  }
}

/// Tall ones are multiplied by rows and then transposed, in parts; others as c^T = b^T a^T.
TEST_F(TileGemm, AResultStoredByColumnsHasTheBitsOfOneStoredByRows) {
  for (const auto& [m, n, k] : {std::array<std::int64_t, 3>{1000, 74, 64}, {20001, 38, 33}, {129, 32, 300}, {64, 500, 40}}) {
    for (const double beta : {0.0, 0.5}) {
      const Array a = test::random_matrix(DType::f32, m, k, 1), b = test::random_matrix(DType::f32, k, n, 2, Layout::columns);
      Array rows = test::random_matrix(DType::f32, m, n, 3), columns = test::make_matrix(DType::f32, m, n, Layout::columns);
      for (std::int64_t i = 0; i < m; ++i) {
        for (std::int64_t j = 0; j < n; ++j) columns.set(i, j, rows.at(i, j));
      }
      if (!cpu::tiles_are_faster(a.view, b.view, columns.view, {})) GTEST_SKIP() << "not on this processor";
      ASSERT_TRUE(cpu::tile_gemm_any_layout(1.25, a.view, b.view, beta, rows.view, {}));
      ASSERT_TRUE(cpu::tile_gemm_any_layout(1.25, a.view, b.view, beta, columns.view, {}));
      for (std::int64_t i = 0; i < m; ++i) {
        for (std::int64_t j = 0; j < n; ++j) ASSERT_EQ(columns.at(i, j), rows.at(i, j)) << m << " x " << n << ", " << i << "," << j;
      }
    }
  }
}

TEST_F(TileGemm, LeavesOtherProductsToOthers) {
  const test::WithTileForm with(test::tile_forms().back());
  const Array a = test::make_matrix(DType::f32, 64, 64), d = test::make_matrix(DType::f64, 64, 64), small = test::make_matrix(DType::f32, 8, 64);
  Array c = test::make_matrix(DType::f32, 64, 64, Layout::columns), e = test::make_matrix(DType::f64, 64, 64), f = test::make_matrix(DType::f32, 8, 64);
  EXPECT_FALSE(cpu::tile_gemm(1, a.view, a.view, 0, c.view, {}));
  EXPECT_FALSE(cpu::tile_gemm(1, d.view, d.view, 0, e.view, {}));
  EXPECT_FALSE(cpu::tile_gemm(1, small.view, a.view, 0, f.view, {}));
}

TEST_F(TileGemm, DoesNotDependOnTheThreadCount) {
  const int threads = omp_get_max_threads();
  const Array a = test::random_matrix(DType::f32, 301, 700, 1), b = test::random_matrix(DType::f32, 700, 290, 2);
  for (const cpu::TileKernels* form : test::tile_forms()) {
    SCOPED_TRACE(form->name);
    const test::WithTileForm with(form);
    std::vector<Array> results;
    for (const int count : {1, 2, 3}) {
      omp_set_num_threads(count);
      Array out = test::make_matrix(DType::f32, 301, 290);
      ASSERT_TRUE(cpu::tile_gemm(1.0, a.view, b.view, 0.0, out.view, {}));
      results.push_back(std::move(out));
    }
    omp_set_num_threads(threads);
    EXPECT_EQ(results[0].bytes, results[1].bytes);
    EXPECT_EQ(results[0].bytes, results[2].bytes);
  }
}

}  // namespace
}  // namespace panther
