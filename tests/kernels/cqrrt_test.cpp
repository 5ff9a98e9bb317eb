#include "kernels/linalg/cqrrt.h"

#include "core/error.h"
#include "tests/kernels/qr_expectations.h"

namespace panther::linalg {
namespace {

using namespace panther::test;

class CqrrtTest : public testing::TestWithParam<DType> {
 protected:
  void SetUp() override {
    if (cpu_kernels().lapack == nullptr) GTEST_SKIP() << "built with PANTHER_WITH_OPENBLAS=OFF";
  }
  DType dtype() const { return GetParam(); }
  void expect_good(const Dense& a, const CqrrtResult& result) const {
    std::vector<std::int64_t> order(static_cast<std::size_t>(a.columns));
    std::iota(order.begin(), order.end(), 0);
    expect_qr(a, order, dense_of(result.q_MN.view()), dense_of(result.r_NN.view()), dtype());
    for (std::int64_t j = 0; j < a.columns; ++j) EXPECT_GT(dense_of(result.r_NN.view())(j, j), 0);
  }
};

TEST_P(CqrrtTest, TwoHundredShapes) {
  for (std::uint64_t trial = 0; trial < 200; ++trial) {
    const auto n = static_cast<std::int64_t>(1 + 20 * (1 + random_value(33, trial))), m = n + static_cast<std::int64_t>(60 * (1 + random_value(34, trial)));
    const Dense exact = rounded(gaussian_matrix(m, n, trial), dtype());
    Context context;
    context.seed = trial;
    SCOPED_TRACE(concat(m, " x ", n));
    expect_good(exact, cqrrt(context, matrix_of(exact, dtype()).view()));
  }
}

TEST_P(CqrrtTest, ConditionUpToTheInverseOfRoundoff) {
  for (const double condition : {1e0, 1e3, 1e6, 1e10, 1e14}) {
    if (dtype() == DType::f32 && condition > 1e6) continue;
    SCOPED_TRACE(condition);
    const Dense exact = rounded(matrix_with_singular_values(300, 50, graded_spectrum(50, condition), 21), dtype());
    expect_good(exact, cqrrt({}, matrix_of(exact, dtype()).view()));
  }
}

// R of a QR with positive diagonal is unique: the Cholesky factor of A^T A, computed here by textbook loops in f64.
TEST_P(CqrrtTest, RIsTheCholeskyFactorOfTheGramMatrix) {
  const Dense exact = rounded(gaussian_matrix(200, 12, 22), dtype()), gram = multiply_transposed(exact, exact);
  Dense r(12, 12);
  for (std::int64_t j = 0; j < 12; ++j) {
    for (std::int64_t i = 0; i <= j; ++i) {
      double sum = gram(i, j);
      for (std::int64_t k = 0; k < i; ++k) sum -= r(k, i) * r(k, j);
      r(i, j) = i == j ? std::sqrt(sum) : sum / r(i, i);
    }
  }
  const CqrrtResult result = cqrrt({}, matrix_of(exact, dtype()).view());
  EXPECT_LE(norm(subtract(dense_of(result.r_NN.view()), r)), 40 * unit_roundoff(dtype()) * norm(r));
}

TEST_P(CqrrtTest, SendsDeficientAndWideMatricesElsewhere) {
  Dense zero_column = gaussian_matrix(40, 5, 23);
  std::fill_n(zero_column.column(3), 40, 0.0);
  EXPECT_THROW(cqrrt({}, matrix_of(zero_column, dtype()).view()), Error);
  EXPECT_THROW(cqrrt({}, matrix_of(gaussian_matrix(4, 5, 24), dtype()).view()), Error);
  EXPECT_EQ(cqrrt({}, matrix_of(Dense(5, 0), dtype()).view()).r_NN.rows(), 0);
}

INSTANTIATE_TEST_SUITE_P(Cpu, CqrrtTest, testing::Values(DType::f32, DType::f64),
                         [](const auto& one) { return std::string(dtype_name(one.param)); });

}  // namespace
}  // namespace panther::linalg
