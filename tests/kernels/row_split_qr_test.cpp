// cqrrpt and cqrrt over ranks as threads, rows split unevenly: the same pivots and factors as one process.
#include "core/error.h"
#include "kernels/linalg/cqrrpt.h"
#include "kernels/linalg/cqrrt.h"
#include "tests/kernels/linalg_fixture.h"
#include "tests/kernels/qr_expectations.h"

namespace panther::linalg {
namespace {

using namespace panther::test;

/// Runs body(context, local rows) on every rank; ranks hold uneven shares, and with more than two of them the first holds none.
template <class Body>
void on_ranks(int ranks, const Dense& a, DType dtype, Body body) {
  const auto border = [&](int r) { return r == 0 || (r == 1 && ranks > 2) ? 0 : r >= ranks ? a.rows : std::min(a.rows, a.rows * r * r / (ranks * ranks) + 3); };
  test::on_ranks(ranks, a.rows, 0, [&](const Context& given, int rank) {
    const std::int64_t first = border(rank), last = border(rank + 1);
    Context context = given;
    context.first_row = first;
    context.sum_over_ranks = [&](const TensorView& view) {
      EXPECT_TRUE(view.is_contiguous() || view.transposed().is_contiguous());
      given.sum_over_ranks(view);
    };
    const Matrix local = matrix_of(block(a, first, last - first, 0, a.columns), dtype);
    body(context, local, rank, first);
  });
}

/// Columns whose norms fall by a quarter, in a mixed order, so that no rounding changes a pivot; the columns beyond `rank` are tiny combinations.
Dense separated_columns(std::int64_t m, std::int64_t n, std::int64_t rank, std::uint64_t seed) {
  Dense a = gaussian_matrix(m, n, seed);
  for (std::int64_t j = 0; j < rank; ++j) {
    for (std::int64_t i = 0; i < m; ++i) a(i, j) *= std::pow(0.75, static_cast<double>(j * 7 % rank));
  }
  for (std::int64_t j = rank; j < n; ++j) {
    for (std::int64_t i = 0; i < m; ++i) a(i, j) = 1e-5 * (a(i, j - rank) - a(i, (j + 1) % rank));
  }
  return a;
}

class RowSplitTest : public testing::TestWithParam<DType> {
 protected:
  void SetUp() override {
    if (cpu_kernels().lapack == nullptr) GTEST_SKIP() << "built with PANTHER_WITH_OPENBLAS=OFF";
  }
};

TEST_P(RowSplitTest, CqrrptGivesTheFactorsOfOneProcess) {
  const DType dtype = GetParam();
  const std::int64_t m = 500, n = 40;
  for (const std::int64_t true_rank : {n, n / 2 - 1}) {
    // Rounded after the combination: what stays of the tiny columns is far below the rank tolerance.
    const Dense a = rounded(separated_columns(m, n, true_rank, 51), dtype);
    const CqrrptResult alone = cqrrpt({}, matrix_of(a, dtype).view());
    ASSERT_EQ(alone.rank, true_rank);
    const Dense q = dense_of(alone.q_MK.view()), r = dense_of(alone.r_KN.view());
    for (const int ranks : {1, 2, 3, 4, 8}) {
      std::vector<Dense> parts(static_cast<std::size_t>(ranks)), triangles(parts.size());
      std::vector<std::int64_t> firsts(parts.size());
      std::vector<std::vector<std::int64_t>> orders(parts.size());
      on_ranks(ranks, a, dtype, [&](const Context& context, const Matrix& local, int rank, std::int64_t first) {
        const CqrrptResult mine = cqrrpt(context, local.view());
        EXPECT_EQ(mine.rank, alone.rank);
        orders[static_cast<std::size_t>(rank)] = mine.pivots;
        EXPECT_LE(mine.quality.residual, qr_tolerance(dtype));
        parts[static_cast<std::size_t>(rank)] = dense_of(mine.q_MK.view());
        triangles[static_cast<std::size_t>(rank)] = dense_of(mine.r_KN.view());
        firsts[static_cast<std::size_t>(rank)] = first;
      });
      Dense gathered(m, true_rank);
      for (std::size_t rank = 0; rank < parts.size(); ++rank) {
        EXPECT_EQ(triangles[rank].values, triangles[0].values) << "R differs between ranks";
        EXPECT_EQ(orders[rank], orders[0]);
        // Beyond the rank there is only rounding to order, and sums over ranks round differently.
        for (std::int64_t i = 0; i < true_rank; ++i) EXPECT_EQ(orders[rank][static_cast<std::size_t>(i)], alone.pivots[static_cast<std::size_t>(i)]);
        for (std::int64_t j = 0; j < true_rank; ++j) std::copy_n(parts[rank].column(j), parts[rank].rows, gathered.column(j) + firsts[rank]);
      }
      expect_qr(a, orders[0], gathered, triangles[0], dtype);
      if (true_rank == n) {
        EXPECT_LE(norm(subtract(triangles[0], r)), 1e4 * unit_roundoff(dtype) * norm(r)) << ranks;
      }
      EXPECT_LE(norm(subtract(gathered, q)), 1e6 * unit_roundoff(dtype)) << ranks;
    }
  }
}

TEST_P(RowSplitTest, CqrrtGivesTheFactorsOfOneProcess) {
  const DType dtype = GetParam();
  const Dense a = rounded(gaussian_matrix(300, 30, 52), dtype);
  const Dense r = dense_of(cqrrt({}, matrix_of(a, dtype).view()).r_NN.view());
  for (const int ranks : {1, 2, 3, 4, 8}) {
    on_ranks(ranks, a, dtype, [&](const Context& context, const Matrix& local, int, std::int64_t) {
      const CqrrtResult mine = cqrrt(context, local.view());
      EXPECT_LE(norm(subtract(dense_of(mine.r_NN.view()), r)), 100 * unit_roundoff(dtype) * norm(r));
      EXPECT_LE(mine.quality.orthogonality, qr_tolerance(dtype) * 10);
    });
  }
}

TEST_P(RowSplitTest, EveryRankSeesTheBadElementOfOne) {
  Dense a = gaussian_matrix(100, 8, 53);
  a(99, 2) = std::nan("");
  on_ranks(3, a, GetParam(), [&](const Context& context, const Matrix& local, int, std::int64_t) { EXPECT_THROW(cqrrpt(context, local.view()), Error); });
}

INSTANTIATE_TEST_SUITE_P(Cpu, RowSplitTest, testing::Values(DType::f32, DType::f64),
                         [](const auto& one) { return std::string(dtype_name(one.param)); });

}  // namespace
}  // namespace panther::linalg
