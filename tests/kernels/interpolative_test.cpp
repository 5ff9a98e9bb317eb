#include "kernels/linalg/interpolative.h"

#include <gtest/gtest.h>

#include <set>

#include "core/error.h"
#include "tests/kernels/linalg_fixture.h"

namespace panther::test {
namespace {

using linalg::column_id;
using linalg::cur;
using linalg::row_id;

double error_of(const Dense& a, const Dense& approximation) { return norm(subtract(a, approximation)) / std::max(norm(a), 1e-300); }

TEST(Interpolative, IsExactWhenTheRankFits) {
  for (const auto& [dtype, tolerance] : {std::pair{DType::f64, 1e-11}, std::pair{DType::f32, 1e-3}}) {
    const Dense a = rounded(matrix_with_singular_values(50, 40, graded_spectrum(6, 50), 3), dtype);
    const Matrix input = matrix_of(a, dtype);
    const auto columns = column_id(seeded(1), input.view(), {.rank = 6});
    EXPECT_LE(error_of(a, multiply(take_columns(a, columns.columns), dense_of(columns.weights_KN.view()))), tolerance);
    const auto rows = row_id(seeded(1), input.view(), {.rank = 6});
    EXPECT_LE(error_of(a, multiply(dense_of(rows.weights_MK.view()), transposed(take_columns(transposed(a), rows.rows)))), tolerance);
    const auto both = cur(seeded(1), input.view(), {.rank = 6});
    const Dense middle = multiply(dense_of(both.c_MK.view()), dense_of(both.u_KK.view()));
    EXPECT_LE(error_of(a, multiply(middle, dense_of(both.r_KN.view()))), tolerance);
    EXPECT_EQ(norm(subtract(dense_of(both.c_MK.view()), take_columns(a, both.columns))), 0.0);
    EXPECT_EQ(norm(subtract(dense_of(both.r_KN.view()), transposed(take_columns(transposed(a), both.rows)))), 0.0);
  }
}

// One process that says how many rows there are: those are the matrix' rows, not those of its transpose.
TEST(Interpolative, TotalRowsOfOneProcessChangeNothing) {
  const Dense a = gaussian_matrix(20, 60, 4);
  const Matrix input = matrix_of(a, DType::f64);
  linalg::Context told = seeded(1);
  told.total_rows = 20;
  const linalg::InterpolativeOptions options{.rank = 18};
  EXPECT_EQ(row_id(told, input.view(), options).rows, row_id(seeded(1), input.view(), options).rows);
  const auto with = cur(told, input.view(), options), without = cur(seeded(1), input.view(), options);
  EXPECT_EQ(with.rows, without.rows);
  EXPECT_EQ(with.columns, without.columns);
  EXPECT_EQ(dense_of(with.u_KK.view()).values, dense_of(without.u_KK.view()).values);
}

// Column pivoting keeps within sqrt(1 + k (n - k)) of the optimum in practice (strong pivoting provably); CUR adds the same for its rows.
TEST(Interpolative, ComesNearTheOptimumAndReportsItsError) {
  for (const std::vector<double>& s : {harmonic_spectrum(60), halving_spectrum(40), step_spectrum(60, 8, 0.1)}) {
    const Dense a = matrix_with_singular_values(70, 60, s, 23);
    const Matrix input = matrix_of(a, DType::f64);
    const double optimum = tail(s, 8) / norm(a);
    const auto columns = column_id(seeded(1), input.view(), {.rank = 8});
    const double column_error = error_of(a, multiply(take_columns(a, columns.columns), dense_of(columns.weights_KN.view())));
    const double factor = std::sqrt(1.0 + 8 * (60 - 8));
    EXPECT_LE(column_error, factor * optimum);
    EXPECT_NEAR(columns.relative_error, column_error, 1e-12);
    const auto both = cur(seeded(1), input.view(), {.rank = 8});
    const double cur_error = error_of(a, multiply(multiply(dense_of(both.c_MK.view()), dense_of(both.u_KK.view())), dense_of(both.r_KN.view())));
    EXPECT_LE(cur_error, (factor + std::sqrt(1.0 + 8 * (70 - 8))) * optimum);
    EXPECT_NEAR(both.relative_error, cur_error, 1e-12);
    for (std::size_t k = 0; k < columns.columns.size(); ++k) {
      for (std::int64_t i = 0; i < 8; ++i) EXPECT_EQ(dense_of(columns.weights_KN.view())(i, columns.columns[k]), i == static_cast<std::int64_t>(k) ? 1.0 : 0.0);
    }
  }
}

TEST(Interpolative, HoldsOn200RandomShapes) {
  for (std::uint64_t trial = 0; trial < 200; ++trial) {
    const auto pick = [&](std::uint64_t what, std::int64_t most) { return 1 + static_cast<std::int64_t>((random_value(trial, what) + 1) / 2 * static_cast<double>(most)); };
    const std::int64_t m = pick(0, 30), n = pick(1, 30), k = std::min({pick(2, 10), m, n});
    const Dense a = gaussian_matrix(m, n, trial);
    const Matrix input = matrix_of(a, DType::f64);
    const auto columns = column_id(seeded(trial), input.view(), {.rank = k});
    EXPECT_EQ(std::set<std::int64_t>(columns.columns.begin(), columns.columns.end()).size(), static_cast<std::size_t>(k));
    EXPECT_NEAR(columns.relative_error, error_of(a, multiply(take_columns(a, columns.columns), dense_of(columns.weights_KN.view()))), 1e-12);
    const auto both = cur(seeded(trial), input.view(), {.rank = k});
    EXPECT_EQ(std::set<std::int64_t>(both.rows.begin(), both.rows.end()).size(), static_cast<std::size_t>(k));
    const Dense rebuilt = multiply(multiply(dense_of(both.c_MK.view()), dense_of(both.u_KK.view())), dense_of(both.r_KN.view()));
    EXPECT_NEAR(both.relative_error, error_of(a, rebuilt), 1e-9);
    EXPECT_LE(both.relative_error, 1.0 + 1e-12);  // the best middle factor never loses to U = 0
    const double limit = k == n ? 1e-11 : k == m ? 1e-9 : 1.0 + 1e-12;  // all columns, or as many as there are rows: exact
    EXPECT_LE(columns.relative_error, limit) << m << "x" << n;
  }
}

TEST(Interpolative, ZeroAndRankDeficientMatricesGiveFiniteWeights) {
  for (const std::int64_t rank : {0, 2}) {
    const Dense a = rank == 0 ? Dense(12, 9) : matrix_with_singular_values(12, 9, graded_spectrum(rank, 3), 3);
    const Matrix input = matrix_of(a, DType::f64);
    const auto columns = column_id(seeded(1), input.view(), {.rank = 5});
    for (const double weight : dense_of(columns.weights_KN.view()).values) EXPECT_TRUE(std::isfinite(weight));
    EXPECT_LE(columns.relative_error, 1e-12);
    EXPECT_LE(cur(seeded(1), input.view(), {.rank = 5}).relative_error, 1e-12);
  }
}

TEST(Interpolative, ColumnIdWorksOnSplitRows) {
  const Dense a = matrix_with_singular_values(43, 30, harmonic_spectrum(30), 3);
  const Matrix input = matrix_of(a, DType::f64);
  const auto whole = column_id(seeded(7), input.view(), {.rank = 5});
  for (const int ranks : {2, 3, 8}) {
    on_ranks(ranks, 43, 7, [&](const linalg::Context& context, int rank) {
      const auto [first, rows] = share_of(43, ranks, rank);
      const Matrix mine = matrix_of(block(a, first, rows, 0, 30), DType::f64);
      const auto part = column_id(context, mine.view(), {.rank = 5});
      EXPECT_EQ(part.columns, whole.columns);
      EXPECT_NEAR(part.relative_error, whole.relative_error, 1e-11);
      EXPECT_THROW(cur(context, mine.view(), {.rank = 5}), Error);
      EXPECT_THROW(row_id(context, mine.view(), {.rank = 5}), Error);
    });
  }
}

TEST(Interpolative, ArgumentsAreChecked) {
  const Matrix input = matrix_of(gaussian_matrix(6, 4, 1), DType::f64);
  EXPECT_THROW(column_id(seeded(0), input.view(), {.rank = 0}), Error);
  EXPECT_THROW(row_id(seeded(0), input.view(), {.rank = 5}), Error);
  EXPECT_THROW(cur(seeded(0), input.view(), {.rank = 5}), Error);
}

}  // namespace
}  // namespace panther::test
