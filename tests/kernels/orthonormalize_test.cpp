#include "kernels/linalg/orthonormalize.h"

#include <gtest/gtest.h>

#include "core/error.h"
#include "tests/kernels/linalg_fixture.h"

namespace panther::test {
namespace {

using linalg::orthonormalize;
using linalg::orthonormalize_against;

double unit(DType dtype) { return unit_roundoff(dtype); }

class Orthonormalize : public ::testing::TestWithParam<DType> {};
INSTANTIATE_TEST_SUITE_P(Dtypes, Orthonormalize, ::testing::Values(DType::f32, DType::f64), [](const auto& type) { return std::string(dtype_name(type.param)); });

TEST_P(Orthonormalize, GivesAnOrthonormalBasisForEveryCondition) {
  for (const double condition : {1.0, 1e2, 1e6, 1e10, 1e14}) {
    const Dense a = matrix_with_singular_values(200, 24, graded_spectrum(24, condition), 11);
    Matrix y = matrix_of(a, GetParam()), r = matrix_of(Dense(24, 24), GetParam());
    orthonormalize(seeded(3), y.view(), r.view());
    const Dense q = dense_of(y.view()), given = rounded(a, GetParam());
    EXPECT_LE(orthogonality(q), 100 * unit(GetParam())) << condition;
    EXPECT_LE(norm(subtract(given, multiply(q, dense_of(r.view())))), 100 * unit(GetParam()) * norm(given)) << condition;
    EXPECT_EQ(norm(subtract(dense_of(r.view()), upper_triangle(dense_of(r.view())))), 0.0);
  }
}

TEST_P(Orthonormalize, ReplacesDependentAndZeroColumns) {
  Dense a = gaussian_matrix(60, 8, 5);
  for (std::int64_t i = 0; i < 60; ++i) a(i, 3) = 0, a(i, 6) = a(i, 1) - 2 * a(i, 2);
  Matrix y = matrix_of(a, DType::f64), r = matrix_of(Dense(8, 8), DType::f64);
  const auto done = orthonormalize(seeded(1), y.view(), r.view());
  EXPECT_TRUE(done.preconditioned);
  EXPECT_EQ(done.replaced, 2);
  EXPECT_LE(orthogonality(dense_of(y.view())), 1e-13);
  EXPECT_LE(norm(subtract(a, multiply(dense_of(y.view()), dense_of(r.view())))), 1e-13 * norm(a));
  Matrix zero = matrix_of(Dense(9, 9), GetParam());
  orthonormalize(seeded(1), zero.view());
  EXPECT_LE(orthonormalize(seeded(1), zero.view()).passes, 6);
  EXPECT_LE(orthogonality(dense_of(zero.view())), 100 * unit(GetParam()));
}

TEST_P(Orthonormalize, DoesNotDependOnScale) {
  for (const double scale : {1e-8, 1e8}) {
    Matrix y = matrix_of(scaled(gaussian_matrix(50, 7, 2), scale), GetParam());
    orthonormalize(seeded(0), y.view());
    EXPECT_LE(orthogonality(dense_of(y.view())), 50 * unit(GetParam()));
  }
}

TEST_P(Orthonormalize, StaysOrthogonalToABasisThatAlreadyHoldsTheBlock) {
  const Dense basis = orthonormal_matrix(80, 10, 4);
  const Dense inside = multiply(basis, gaussian_matrix(10, 6, 9));
  Matrix q = matrix_of(basis, GetParam()), y = matrix_of(inside, GetParam());
  orthonormalize_against(seeded(0), q.view(), y.view());
  const Dense result = dense_of(y.view());
  EXPECT_LE(orthogonality(result), 100 * unit(GetParam()));
  EXPECT_LE(norm(multiply_transposed(dense_of(q.view()), result)), 100 * unit(GetParam()));
}

TEST_P(Orthonormalize, AgainstReturnsWhatRebuildsTheBlock) {
  const Dense basis = orthonormal_matrix(80, 10, 4), block = gaussian_matrix(80, 6, 9);
  Matrix q = matrix_of(basis, GetParam()), y = matrix_of(block, GetParam()), c = matrix_of(Dense(10, 6), GetParam()), r = matrix_of(Dense(6, 6), GetParam());
  orthonormalize_against(seeded(0), q.view(), y.view(), c.view(), r.view());
  Dense rebuilt = multiply(basis, dense_of(c.view()));
  const Dense rest = multiply(dense_of(y.view()), dense_of(r.view()));
  for (std::size_t i = 0; i < rebuilt.values.size(); ++i) rebuilt.values[i] += rest.values[i];
  EXPECT_LE(norm(subtract(block, rebuilt)), 100 * unit(GetParam()) * norm(block));
}

TEST_P(Orthonormalize, GivesTheSameOnAnyNumberOfRanks) {
  const Dense a = matrix_with_singular_values(37, 5, graded_spectrum(5, 1e12), 8);
  Matrix whole = matrix_of(a, DType::f64);
  orthonormalize(seeded(6), whole.view());
  for (const int ranks : {2, 3, 4, 8}) {
    Dense parts(37, 5);
    on_ranks(ranks, 37, 6, [&](const linalg::Context& context, int rank) {
      const auto [first, rows] = share_of(37, ranks, rank);
      Matrix mine = matrix_of(block(a, first, rows, 0, 5), DType::f64);
      orthonormalize(context, mine.view());
      const Dense got = dense_of(mine.view());
      for (std::int64_t j = 0; j < 5; ++j) std::copy_n(got.column(j), rows, parts.column(j) + first);
    });
    EXPECT_LE(orthogonality(parts), 1e-13) << ranks;
    // Columns are determined up to rounding times the condition.
    EXPECT_LE(norm(subtract(parts, dense_of(whole.view()))), 1e-2) << ranks;
  }
}

TEST(OrthonormalizeArguments, MoreColumnsThanRowsAreRefused) {
  Matrix y = matrix_of(gaussian_matrix(3, 4, 1), DType::f64);
  EXPECT_THROW(orthonormalize(seeded(0), y.view()), Error);
}

}  // namespace
}  // namespace panther::test
