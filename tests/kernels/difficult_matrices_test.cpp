// The SVD family on the matrices that break factorizations: deficient, Kahan's, coherent, graded over 14 orders, scaled, and of one row or column.
#include <gtest/gtest.h>

#include "core/text.h"
#include "kernels/linalg/interpolative.h"
#include "kernels/linalg/krylov_svd.h"
#include "kernels/linalg/nystrom.h"
#include "kernels/linalg/qb.h"
#include "kernels/linalg/rsvd.h"
#include "kernels/linalg/single_pass_svd.h"
#include "tests/kernels/linalg_fixture.h"

namespace panther::test {
namespace {

struct Difficult {
  std::string name;
  Dense matrix;
};

std::vector<Difficult> difficult() {
  std::vector<Difficult> all;
  all.push_back({"rank deficient", matrix_with_singular_values(60, 40, harmonic_spectrum(7), 2)});
  all.push_back({"rank one", matrix_with_singular_values(60, 40, {3.0}, 3)});
  all.push_back({"Kahan", kahan_matrix(48)});
  all.push_back({"spiked", spiked_matrix(60, 40, 5, 1e3, 4)});
  all.push_back({"graded over 14 orders", matrix_with_singular_values(60, 40, graded_spectrum(40, 1e14), 5)});
  all.push_back({"scaled up", scaled(gaussian_matrix(60, 40, 6), 1e8)});
  all.push_back({"scaled down", scaled(gaussian_matrix(60, 40, 7), 1e-8)});
  all.push_back({"wide", matrix_with_singular_values(30, 70, harmonic_spectrum(30), 8)});
  all.push_back({"one by one", gaussian_matrix(1, 1, 9)});
  all.push_back({"one row", gaussian_matrix(1, 23, 10)});
  all.push_back({"one column", gaussian_matrix(23, 1, 11)});
  return all;
}

class DifficultMatrices : public ::testing::TestWithParam<DType> {
 protected:
  /// Calls check(matrix rounded to the dtype, its view, rank, the optimal error of that rank, what rounding may add).
  template <class Check>
  void for_each(Check&& check) {
    for (const Difficult& one : difficult()) {
      SCOPED_TRACE(one.name);
      const Dense a = rounded(one.matrix, GetParam());
      const Matrix input = matrix_of(a, GetParam());
      const std::int64_t rank = std::min<std::int64_t>({10, a.rows, a.columns});
      check(a, input.view(), rank, tail(jacobi_singular_values(a), rank), 200 * unit_roundoff(GetParam()) * norm(a));
    }
  }
  void expect_orthonormal(const TensorView& q) const { EXPECT_LE(orthogonality(dense_of(q)), 200 * unit_roundoff(GetParam())); }
};

// Krylov and power steps beside an oversampling of 10 come within a factor of 2 of the optimum on spectra as flat as a Gaussian matrix'.
TEST_P(DifficultMatrices, SvdComesNearTheOptimum) {
  for_each([&](const Dense& a, const TensorView& view, std::int64_t rank, double optimum, double rounding) {
    for (const linalg::RangeFinder range : {linalg::RangeFinder::krylov, linalg::RangeFinder::power}) {
      linalg::RsvdOptions options;
      options.rank = rank;
      options.range = range;
      const linalg::SvdResult result = linalg::rsvd(seeded(5), view, options);
      const double error = norm(subtract(a, compose(result.u_MK.view(), result.s_K.view(), result.v_NK.view())));
      EXPECT_LE(error, 2 * optimum + rounding);
      EXPECT_GE(error, optimum * (1 - 1e-3) - rounding);
      expect_orthonormal(result.u_MK.view());
      expect_orthonormal(result.v_NK.view());
    }
  });
}

TEST_P(DifficultMatrices, QbReportsItsError) {
  for_each([&](const Dense& a, const TensorView& view, std::int64_t rank, double optimum, double rounding) {
    const linalg::QbResult result = linalg::qb(seeded(5), view, {.rank = rank, .block = 4});
    const double error = norm(subtract(a, multiply(dense_of(result.q_MK.view()), transposed(dense_of(result.bt_NK.view())))));
    EXPECT_GE(error, optimum * (1 - 1e-3) - rounding);
    // The indicator is a difference of squares, each rounded.
    EXPECT_NEAR(error * error, result.relative_error * result.relative_error * norm(a) * norm(a), 2 * rounding * norm(a));
    expect_orthonormal(result.q_MK.view());
  });
}

// Where every residual met the tolerance, the values are singular values up to it (Weyl).
TEST_P(DifficultMatrices, KrylovSvdFindsSingularValues) {
  const double tolerance = GetParam() == DType::f64 ? 1e-9 : 1e-4;
  for_each([&](const Dense& a, const TensorView& view, std::int64_t rank, double, double rounding) {
    const linalg::KrylovResult result = linalg::krylov_svd(seeded(5), view, {.rank = rank, .tolerance = tolerance});
    EXPECT_TRUE(result.reached_tolerance);
    const std::vector<double> exact = jacobi_singular_values(a);
    const Dense values = dense_of(result.s_K.view());
    for (std::int64_t j = 0; j < rank; ++j) EXPECT_NEAR(values(j, 0), exact[static_cast<std::size_t>(j)], tolerance * exact[0] + rounding) << j;
    expect_orthonormal(result.u_MK.view());
    expect_orthonormal(result.v_NK.view());
  });
}

TEST_P(DifficultMatrices, SinglePassStaysWithinReach) {
  for_each([&](const Dense& a, const TensorView& view, std::int64_t rank, double optimum, double rounding) {
    const linalg::SvdResult result = linalg::single_pass_svd(seeded(5), view, {.rank = rank});
    const double error = norm(subtract(a, compose(result.u_MK.view(), result.s_K.view(), result.v_NK.view())));
    // Mean (1 + f)(1 + f') < 4 in squares for the default sizes and r = k, twice for truncation: within 8 for one draw.
    EXPECT_LE(error, 8 * optimum + 10 * rounding);
    expect_orthonormal(result.u_MK.view());
    expect_orthonormal(result.v_NK.view());
  });
}

// Pivoting keeps within sqrt(1 + k (n - k)) of the optimum (in practice), and what is reported is the true residual.
TEST_P(DifficultMatrices, ColumnsAndRowsOfTheMatrixRebuildIt) {
  for_each([&](const Dense& a, const TensorView& view, std::int64_t rank, double optimum, double rounding) {
    const auto factor = [&](std::int64_t size) { return std::sqrt(1.0 + static_cast<double>(rank * (size - rank))); };
    const linalg::ColumnId columns = linalg::column_id(seeded(5), view, {.rank = rank});
    const double column_error = norm(subtract(a, multiply(take_columns(a, columns.columns), dense_of(columns.weights_KN.view()))));
    EXPECT_LE(column_error, 2 * factor(a.columns) * optimum + 10 * rounding);
    EXPECT_NEAR(columns.relative_error * norm(a), column_error, rounding);
    const linalg::RowId rows = linalg::row_id(seeded(5), view, {.rank = rank});
    const double row_error = norm(subtract(a, multiply(dense_of(rows.weights_MK.view()), transposed(take_columns(transposed(a), rows.rows)))));
    EXPECT_LE(row_error, 2 * factor(a.rows) * optimum + 10 * rounding);
    EXPECT_NEAR(rows.relative_error * norm(a), row_error, rounding);
    const linalg::CurResult both = linalg::cur(seeded(5), view, {.rank = rank});
    EXPECT_LE(both.relative_error * norm(a), 2 * (factor(a.columns) + factor(a.rows)) * optimum + 100 * rounding);
  });
}

// A^T A of each, exactly symmetric: semidefinite of twice the condition.
TEST_P(DifficultMatrices, NystromRebuildsGramMatrices) {
  for (const Difficult& one : difficult()) {
    SCOPED_TRACE(one.name);
    const Dense gram = rounded(multiply_transposed(one.matrix, one.matrix), GetParam());
    const Matrix input = matrix_of(gram, GetParam());
    const std::int64_t rank = std::min<std::int64_t>(10, gram.rows);
    const linalg::EigenResult result = linalg::nystrom(seeded(5), input.view(), {.rank = rank, .power_iterations = 1});
    const std::vector<double> exact = jacobi_singular_values(gram);
    const double error = norm(subtract(gram, compose(result.vectors_MK.view(), result.values_K.view(), result.vectors_MK.view())));
    double nuclear = 0;
    for (std::size_t j = static_cast<std::size_t>(rank); j < exact.size(); ++j) nuclear += exact[j];
    // The shift is sqrt(n) u ||Y||, and taking its root's inverse once loses about as much again.
    EXPECT_LE(error, 2 * nuclear + 2000 * unit_roundoff(GetParam()) * norm(gram));
    expect_orthonormal(result.vectors_MK.view());
  }
}

TEST(NystromShapes, HoldsOn200RandomSizes) {
  for (std::uint64_t trial = 0; trial < 200; ++trial) {
    const auto n = 1 + static_cast<std::int64_t>(trial % 37), rank = 1 + static_cast<std::int64_t>((trial * 7) % 11) % n, inner = 1 + static_cast<std::int64_t>((trial * 5) % 41);
    const Dense factor = gaussian_matrix(inner, n, trial), gram = multiply_transposed(factor, factor);
    const Matrix input = matrix_of(gram, DType::f64);
    const linalg::EigenResult result = linalg::nystrom(seeded(trial), input.view(), {.rank = rank});
    const std::vector<double> exact = jacobi_singular_values(gram);
    double trace = 0, kept = 0, best = 0;
    for (std::size_t j = 0; j < exact.size(); ++j) trace += exact[j], best += j < static_cast<std::size_t>(rank) ? exact[j] : 0;
    const Dense values = dense_of(result.values_K.view());
    for (std::int64_t j = 0; j < rank; ++j) {
      kept += values(j, 0);
      EXPECT_LE(values(j, 0), exact[static_cast<std::size_t>(j)] + 1e-10 * trace) << n << " " << rank;  // A_nys <= A in the Loewner order
    }
    EXPECT_NEAR(result.relative_error, (trace - kept) / trace, 1e-9) << n << " " << rank;
    EXPECT_GE(result.relative_error, (trace - best) / trace - 1e-9);
    EXPECT_LE(orthogonality(dense_of(result.vectors_MK.view())), 1e-12) << n << " " << rank;
  }
}

INSTANTIATE_TEST_SUITE_P(Cpu, DifficultMatrices, ::testing::Values(DType::f32, DType::f64), [](const auto& type) { return std::string(dtype_name(type.param)); });

}  // namespace
}  // namespace panther::test
