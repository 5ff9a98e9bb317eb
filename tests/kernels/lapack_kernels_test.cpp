// Every entry of the CPU's LapackKernels against closed forms, residuals or textbook loops, at sizes from 0 on and on blocks of larger matrices.
#include "kernels/linalg/lapack_kernels.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <limits>
#include <numeric>

#include "core/error.h"
#include "kernels/kernel_set.h"
#include "tests/kernels/test_matrices.h"

namespace panther::test {
namespace {

constexpr std::array<std::array<std::int64_t, 2>, 12> kShapes{
    {{0, 0}, {0, 3}, {3, 0}, {1, 1}, {1, 7}, {7, 1}, {5, 5}, {33, 17}, {17, 33}, {64, 64}, {301, 67}, {67, 301}}};

/// A matrix inside a larger one whose other entries must not change.
struct Framed {
  Matrix whole;
  TensorView view;
  Dense inside;  ///< as rounded
  static constexpr double kFrame = 77;

  Framed(const Dense& a, DType dtype) : whole(matrix_of(filled(a.rows + 5, a.columns + 2), dtype)), view(whole.block(3, a.rows, 1, a.columns)) {
    copy_to(a, view);
    inside = dense_of(view);
  }
  static Dense filled(std::int64_t rows, std::int64_t columns) {
    Dense a(rows, columns);
    std::fill(a.values.begin(), a.values.end(), kFrame);
    return a;
  }
  bool frame_intact() const {
    const Dense now = dense_of(whole.view());
    for (std::int64_t j = 0; j < now.columns; ++j) {
      for (std::int64_t i = 0; i < now.rows; ++i) {
        const bool in = i >= 3 && i < 3 + view.shape[0] && j >= 1 && j < 1 + view.shape[1];
        if (!in && now(i, j) != kFrame) return false;
      }
    }
    return true;
  }
};

class LapackTest : public testing::TestWithParam<DType> {
 protected:
  void SetUp() override {
    if (cpu_kernels().lapack == nullptr) GTEST_SKIP() << "built with PANTHER_WITH_OPENBLAS=OFF";
    lapack = cpu_kernels().lapack;
  }
  DType dtype() const { return GetParam(); }
  double u() const { return unit_roundoff(dtype()); }
  Allocator& memory() { return plain_allocator(); }
  Matrix empty(std::int64_t rows, std::int64_t columns = 1) { return Matrix(memory(), Device{}, Stream{}, dtype(), rows, columns); }
  /// Backward error of a Householder-like factorization: a small multiple of (rows * columns) u in theory, far less in practice.
  double tolerance(const Dense& a) const { return 4.0 * u() * static_cast<double>(std::max<std::int64_t>({a.rows, a.columns, 8})) * norm(a); }

  const LapackKernels* lapack = nullptr;
};

Dense well_conditioned_triangle(std::int64_t n, std::uint64_t seed) {
  Dense t = upper_triangle(gaussian_matrix(n, n, seed));
  for (double& value : t.values) value /= std::sqrt(static_cast<double>(n));
  for (std::int64_t j = 0; j < n; ++j) t(j, j) = 2.0 + 0.01 * static_cast<double>(j);
  return t;
}

TEST_P(LapackTest, GramIsTheProductInItsOwnOrWiderPrecision) {
  for (const auto& [m, n] : kShapes) {
    const Framed a(gaussian_matrix(m, n, 1), dtype());
    const Dense expected = multiply_transposed(a.inside, a.inside);
    Matrix g = empty(n, n), wide(memory(), Device{}, Stream{}, DType::f64, n, n);
    lapack->gram(a.view, g.view(), memory(), {});
    lapack->gram(a.view, wide.view(), memory(), {});
    const double size = norm(a.inside) * norm(a.inside);
    EXPECT_LE(norm(subtract(dense_of(g.view()), expected)), 2 * u() * std::sqrt(static_cast<double>(m + 1)) * size) << m << " x " << n;
    EXPECT_LE(norm(subtract(dense_of(wide.view()), expected)), 2 * 0x1p-53 * std::sqrt(static_cast<double>(m + 1)) * size) << m << " x " << n;
  }
}

TEST_P(LapackTest, GramOfManyRowsPassesPanelBorders) {
  const Framed a(gaussian_matrix(9001, 5, 2), dtype());
  Matrix wide(memory(), Device{}, Stream{}, DType::f64, 5, 5);
  lapack->gram(a.view, wide.view(), memory(), {});
  EXPECT_LE(norm(subtract(dense_of(wide.view()), multiply_transposed(a.inside, a.inside))), 1e-12 * norm(a.inside) * norm(a.inside));
}

TEST_P(LapackTest, TrianglesMultiplyAndSolveFromBothSides) {
  for (const auto& [m, n] : {std::array<std::int64_t, 2>{0, 4}, {4, 0}, {1, 1}, {37, 5}, {130, 70}, {3000, 9}, {2500, 1}, {2, 600}}) {
    for (const Side side : {Side::left, Side::right}) {
      for (const bool transpose : {false, true}) {
        const std::int64_t size = side == Side::left ? m : n;
        Dense junk = well_conditioned_triangle(size, 3);
        for (std::int64_t j = 0; j < size; ++j) std::fill(junk.column(j) + std::min(j + 1, size), junk.column(j) + size, 1e30);  // must not be read
        const Framed t(junk, dtype());
        const Framed b(gaussian_matrix(m, n, 4), dtype());
        const Dense op = transpose ? transposed(upper_triangle(t.inside)) : upper_triangle(t.inside);
        lapack->multiply_upper(side, transpose, t.view, b.view, memory(), {});
        const Dense product = side == Side::left ? multiply(op, b.inside) : multiply(b.inside, op);
        EXPECT_LE(norm(subtract(dense_of(b.view), product)), 4 * u() * norm(op) * norm(b.inside)) << m << " x " << n;
        lapack->solve_upper(side, transpose, 0.5, t.view, b.view, memory(), {});
        // ||T^-1|| stays below 4 for this triangle; the product above carries its rounding through it.
        EXPECT_LE(norm(subtract(dense_of(b.view), scaled(b.inside, 0.5))), 16 * u() * norm(op) * norm(b.inside)) << m << " x " << n;
        EXPECT_TRUE(b.frame_intact());
      }
    }
  }
}

TEST_P(LapackTest, CholeskyLeavesTheLowerTriangleAndNamesTheFailingMinor) {
  for (const std::int64_t n : {0, 1, 2, 17, 130}) {
    const Dense r = well_conditioned_triangle(n, 5);
    const Framed a(multiply_transposed(r, r), dtype());
    Dense with_junk = a.inside;
    EXPECT_EQ(lapack->cholesky(a.view, memory(), {}), 0);
    const Dense found = dense_of(a.view);
    EXPECT_LE(norm(subtract(multiply_transposed(upper_triangle(found), upper_triangle(found)), with_junk)), tolerance(with_junk)) << n;
    for (std::int64_t j = 0; j < n; ++j) {
      for (std::int64_t i = j + 1; i < n; ++i) EXPECT_EQ(found(i, j), a.inside(i, j));
    }
    EXPECT_TRUE(a.frame_intact());
  }
  Dense indefinite = identity(9);
  indefinite(6, 6) = -1;
  EXPECT_EQ(lapack->cholesky(matrix_of(indefinite, dtype()).view(), memory(), {}), 7);
}

TEST_P(LapackTest, QrReproducesTheMatrixAndItsQIsOrthonormal) {
  for (const auto& [m, n] : kShapes) {
    const Framed a(gaussian_matrix(m, n, 6), dtype());
    const std::int64_t k = std::min(m, n);
    Matrix tau = empty(k);
    lapack->qr(a.view, tau.view(), memory(), {});
    const Dense r = upper_triangle(block(dense_of(a.view), 0, k, 0, n));
    // Q R by multiply_q over R padded with zeros; Q^T (Q R) gives it back.
    Dense padded(m, n);
    for (std::int64_t j = 0; j < n; ++j) std::copy_n(r.column(j), k, padded.column(j));
    const Framed product(padded, dtype());
    lapack->multiply_q(false, a.view, tau.view(), product.view, memory(), {});
    EXPECT_LE(norm(subtract(dense_of(product.view), a.inside)), tolerance(a.inside)) << m << " x " << n;
    lapack->multiply_q(true, a.view, tau.view(), product.view, memory(), {});
    EXPECT_LE(norm(subtract(dense_of(product.view), product.inside)), 2 * tolerance(a.inside)) << m << " x " << n;
    EXPECT_TRUE(product.frame_intact());
    if (m < n) continue;
    lapack->form_q(a.view, tau.view(), memory(), {});
    const Dense q = dense_of(a.view);
    EXPECT_LE(orthogonality(q), tolerance(identity(n))) << m << " x " << n;
    EXPECT_LE(norm(subtract(multiply(q, r), a.inside)), 2 * tolerance(a.inside)) << m << " x " << n;
    EXPECT_TRUE(a.frame_intact());
  }
}

TEST_P(LapackTest, FormQExtendsFewerReflectors) {
  const Framed a(gaussian_matrix(40, 12, 7), dtype());
  Matrix tau = empty(5);
  lapack->qr(a.whole.block(3, 40, 1, 5), tau.view(), memory(), {});
  lapack->form_q(a.view, tau.view(), memory(), {});
  EXPECT_LE(orthogonality(dense_of(a.view)), tolerance(identity(12)));
}

TEST_P(LapackTest, PivotedQrHasFallingDiagonalAndAPermutation) {
  for (const auto& [m, n] : kShapes) {
    const Framed a(gaussian_matrix(m, n, 8), dtype());
    const std::int64_t k = std::min(m, n);
    Matrix tau = empty(k);
    std::vector<std::int64_t> pivots(static_cast<std::size_t>(n), -1);
    lapack->qr_pivoted(a.view, tau.view(), pivots, memory(), {});
    std::vector<std::int64_t> all(pivots.size());
    std::iota(all.begin(), all.end(), 0);
    EXPECT_THAT(pivots, testing::UnorderedElementsAreArray(all));
    const Dense r = upper_triangle(block(dense_of(a.view), 0, k, 0, n));
    for (std::int64_t i = 1; i < k; ++i) EXPECT_LE(std::abs(r(i, i)), std::abs(r(i - 1, i - 1)) * (1 + 1e-3));
    Matrix padded = matrix_of(Dense(m, n), dtype());
    copy_to(r, padded.block(0, k, 0, n));
    lapack->multiply_q(false, a.view, tau.view(), padded.view(), memory(), {});
    EXPECT_LE(norm(subtract(dense_of(padded.view()), take_columns(a.inside, pivots))), tolerance(a.inside)) << m << " x " << n;
  }
}

TEST_P(LapackTest, ReconstructsReflectorsFromAThinQ) {
  for (const auto& [m, n] : {std::array<std::int64_t, 2>{1, 1}, {5, 5}, {90, 1}, {130, 70}, {70, 70}, {9, 0}}) {
    const Framed q(orthonormal_matrix(m, n, 15), dtype());
    const Framed r(well_conditioned_triangle(n, 16), dtype());
    Matrix tau = empty(n), t = empty(n, n);
    lapack->reconstruct_q(q.view, r.view, tau.view(), t.view(), memory(), {});
    const Dense expected = multiply(q.inside, upper_triangle(r.inside)), packed = dense_of(q.view);
    const Matrix padded = matrix_of(Dense(m, n), dtype());
    copy_to(upper_triangle(block(packed, 0, n, 0, n)), padded.block(0, n, 0, n));
    lapack->multiply_q(false, q.view, tau.view(), padded.view(), memory(), {});
    EXPECT_LE(norm(subtract(dense_of(padded.view()), expected)), 2 * tolerance(expected)) << m << " x " << n;
    // I - V T V^T is what the reflectors multiply to.
    Dense v = packed;
    for (std::int64_t j = 0; j < n; ++j) {
      std::fill_n(v.column(j), j, 0.0);
      v(j, j) = 1;
    }
    const Dense factor = dense_of(t.view()), whole = subtract(identity(m), multiply(multiply(v, factor), transposed(v)));
    EXPECT_EQ(factor.values, upper_triangle(factor).values);
    Matrix by_reflectors = matrix_of(identity(m), dtype());
    lapack->multiply_q(false, q.view, tau.view(), by_reflectors.view(), memory(), {});
    EXPECT_LE(norm(subtract(whole, dense_of(by_reflectors.view()))), 4 * tolerance(identity(m))) << m << " x " << n;
    EXPECT_TRUE(q.frame_intact());
  }
}

TEST_P(LapackTest, LuSwapsRowsAndReproducesTheMatrix) {
  for (const auto& [m, n] : kShapes) {
    const Framed a(gaussian_matrix(m, n, 9), dtype());
    const std::int64_t k = std::min(m, n);
    std::vector<std::int64_t> swaps(static_cast<std::size_t>(k));
    lapack->lu(a.view, swaps, memory(), {});
    const Dense packed = dense_of(a.view);
    Dense lower(m, k), permuted = a.inside;
    for (std::int64_t j = 0; j < k; ++j) {
      lower(j, j) = 1;
      for (std::int64_t i = j + 1; i < m; ++i) {
        lower(i, j) = packed(i, j);
        EXPECT_LE(std::abs(lower(i, j)), 1 + 1e-3);
      }
      for (std::int64_t c = 0; c < n; ++c) std::swap(permuted(j, c), permuted(swaps[static_cast<std::size_t>(j)], c));
    }
    EXPECT_LE(norm(subtract(multiply(lower, upper_triangle(block(packed, 0, k, 0, n))), permuted)), 4 * tolerance(a.inside)) << m << " x " << n;
    EXPECT_TRUE(a.frame_intact());
  }
  const Matrix singular = matrix_of(Dense(6, 6), dtype());
  std::vector<std::int64_t> swaps(6);
  EXPECT_NO_THROW(lapack->lu(singular.view(), swaps, memory(), {}));
}

TEST_P(LapackTest, SvdFindsPrescribedSingularValues) {
  for (const auto& [m, n] : kShapes) {
    const std::int64_t k = std::min(m, n);
    const std::vector<double> expected = harmonic_spectrum(k);
    const Framed a(matrix_with_singular_values(m, n, expected, 10), dtype());
    const Framed again(a.inside, dtype());
    Matrix u_factor = empty(m, k), s = empty(k), vt = empty(k, n), values = empty(k);
    lapack->svd(a.view, u_factor.view(), s.view(), vt.view(), memory(), {});
    lapack->svd(again.view, TensorView{}, values.view(), TensorView{}, memory(), {});
    Dense scaled_u = dense_of(u_factor.view());
    for (std::int64_t j = 0; j < k; ++j) {
      EXPECT_NEAR(dense_of(s.view())(j, 0), expected[static_cast<std::size_t>(j)], tolerance(a.inside)) << m << " x " << n;
      EXPECT_NEAR(dense_of(values.view())(j, 0), expected[static_cast<std::size_t>(j)], tolerance(a.inside)) << m << " x " << n;
      for (std::int64_t i = 0; i < m; ++i) scaled_u(i, j) *= dense_of(s.view())(j, 0);
    }
    EXPECT_LE(norm(subtract(multiply(scaled_u, dense_of(vt.view())), a.inside)), tolerance(a.inside)) << m << " x " << n;
    EXPECT_LE(orthogonality(dense_of(u_factor.view())), tolerance(identity(k)));
    EXPECT_LE(orthogonality(transposed(dense_of(vt.view()))), tolerance(identity(k)));
  }
}

TEST_P(LapackTest, EighReadsTheUpperTriangleAndSortsUpwards) {
  for (const std::int64_t n : {0, 1, 2, 31, 100}) {
    const Dense v = orthonormal_matrix(n, n, 11);
    Dense diagonal(n, n);
    for (std::int64_t i = 0; i < n; ++i) diagonal(i, i) = static_cast<double>(2 * i - n);
    const Dense symmetric = rounded(multiply(multiply(v, diagonal), transposed(v)), dtype());
    Dense junk = symmetric;
    for (std::int64_t j = 0; j < n; ++j) std::fill(junk.column(j) + std::min(j + 1, n), junk.column(j) + n, 1e30);
    const Framed a(junk, dtype());
    Matrix w = empty(n);
    lapack->eigh(a.view, w.view(), memory(), {});
    for (std::int64_t i = 0; i < n; ++i) EXPECT_NEAR(dense_of(w.view())(i, 0), diagonal(i, i), tolerance(symmetric));
    const Dense vectors = dense_of(a.view);
    Dense lambda(n, n);
    for (std::int64_t i = 0; i < n; ++i) lambda(i, i) = dense_of(w.view())(i, 0);
    EXPECT_LE(norm(subtract(multiply(vectors, lambda), multiply(symmetric, vectors))), 2 * tolerance(symmetric)) << n;
    EXPECT_LE(orthogonality(vectors), tolerance(identity(n))) << n;
  }
}

TEST_P(LapackTest, ColumnsAreGatheredMeasuredAndFilled) {
  const Framed a(gaussian_matrix(5003, 6, 12), dtype());
  const std::vector<std::int64_t> order{5, 0, 0, 3};
  Matrix out = empty(5003, 4), squares(memory(), Device{}, Stream{}, DType::f64, 6, 1);
  lapack->gather_columns(a.view, order, out.view(), memory(), {});
  EXPECT_EQ(dense_of(out.view()).values, take_columns(a.inside, order).values);
  const std::vector<std::int64_t> places{4, 0, 5, 2};
  const Framed scattered(gaussian_matrix(5003, 6, 14), dtype());
  lapack->scatter_columns(out.view(), places, scattered.view, memory(), {});
  EXPECT_EQ(take_columns(dense_of(scattered.view), places).values, dense_of(out.view()).values);
  const std::vector<std::int64_t> others{1, 3};
  EXPECT_EQ(take_columns(dense_of(scattered.view), others).values, take_columns(scattered.inside, others).values);
  EXPECT_TRUE(scattered.frame_intact());
  lapack->column_norms(a.view, squares.view(), {});
  for (std::int64_t j = 0; j < 6; ++j) {
    const double expected = norm(block(a.inside, 0, 5003, j, 1));
    EXPECT_NEAR(dense_of(squares.view())(j, 0), expected * expected, 1e-12 * expected * expected);
  }
  for (const char part : {'A', 'L', 'U'}) {
    const Framed target(gaussian_matrix(9, 7, 13), dtype());
    lapack->fill(part, 2, 3, target.view, {});
    for (std::int64_t j = 0; j < 7; ++j) {
      for (std::int64_t i = 0; i < 9; ++i) {
        const bool written = part == 'A' || (part == 'L' && i > j) || (part == 'U' && i < j);
        EXPECT_EQ(dense_of(target.view)(i, j), !written ? target.inside(i, j) : i == j ? 3 : 2);
      }
    }
    EXPECT_TRUE(target.frame_intact());
  }
}

TEST_P(LapackTest, NormsOfLargeAndSmallEntriesNeitherOverflowNorVanish) {
  Dense a(3, 2);
  const double large = dtype() == DType::f64 ? 1e150 : 1e38, small = dtype() == DType::f64 ? 1e-150 : 1e-38;
  for (std::int64_t i = 0; i < 3; ++i) a(i, 0) = large, a(i, 1) = small;
  Matrix squares(memory(), Device{}, Stream{}, DType::f64, 2, 1);
  const Dense exact = rounded(a, dtype());
  lapack->column_norms(matrix_of(a, dtype()).view(), squares.view(), {});
  EXPECT_DOUBLE_EQ(dense_of(squares.view())(0, 0), 3 * exact(0, 0) * exact(0, 0));
  EXPECT_DOUBLE_EQ(dense_of(squares.view())(1, 0), 3 * exact(0, 1) * exact(0, 1));
}

TEST_P(LapackTest, OneBadElementAnywhereIsFound) {
  for (const std::int64_t rows : {1, 7, 40, 70000}) {
    const Framed a(gaussian_matrix(rows, 3, 14), dtype());  // the frame holds finite junk
    EXPECT_TRUE(lapack->all_finite(a.view, memory(), {}));
    for (const double bad : {std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::infinity(), -std::numeric_limits<double>::infinity()}) {
      for (const std::int64_t i : {std::int64_t{0}, rows / 2, rows - 1}) {
        const double good = load(a.view.data, dtype(), i + a.view.strides[1]);
        store(a.view.data, dtype(), i + a.view.strides[1], bad);
        EXPECT_FALSE(lapack->all_finite(a.view, memory(), {})) << rows << " " << i;
        store(a.view.data, dtype(), i + a.view.strides[1], good);
      }
    }
  }
  EXPECT_TRUE(lapack->all_finite(empty(0, 3).view(), memory(), {}));
}

TEST_P(LapackTest, RefusesWhatItCannotRead) {
  const Array rows = random_matrix(dtype(), 4, 4, 1, Layout::rows);
  const Matrix square = empty(4, 4), tall = empty(5, 3);
  EXPECT_THROW(lapack->gram(rows.view, square.view(), memory(), {}), Error);
  EXPECT_THROW(lapack->gram(tall.view(), square.view(), memory(), {}), Error);
  EXPECT_THROW(lapack->cholesky(tall.view(), memory(), {}), Error);
  EXPECT_THROW(lapack->solve_upper(Side::left, false, 1, square.view(), tall.view(), memory(), {}), Error);
  EXPECT_THROW(lapack->qr(tall.view(), empty(2).view(), memory(), {}), Error);
  EXPECT_THROW(lapack->fill('X', 0, 0, tall.view(), {}), Error);
  const std::vector<std::int64_t> beyond{3};
  EXPECT_THROW(lapack->gather_columns(tall.view(), beyond, empty(5, 1).view(), memory(), {}), Error);
}

INSTANTIATE_TEST_SUITE_P(Cpu, LapackTest, testing::Values(DType::f32, DType::f64),
                         [](const auto& one) { return std::string(dtype_name(one.param)); });

}  // namespace
}  // namespace panther::test
