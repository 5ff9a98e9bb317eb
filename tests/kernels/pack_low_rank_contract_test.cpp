// Products with thin factors and their orthonormal columns on a device against the CPU. Figures in a message are sizes.
#include <cmath>
#include <tuple>

#include "core/text.h"
#include "tests/kernels/pack_fixture.h"

namespace panther {
namespace {

using test::expect_same;
using test::Mirror;
using test::normals;
using test::PackContract;
using test::zeros;

/// Sums of `depth` products: each device within its own rounding of the exact one.
TEST_P(PackContract, LowRankProducts) {
  for (const auto& [rows, columns, rank] : {std::tuple{1, 1, 1}, {3, 5, 2}, {17, 9, 4}, {64, 132, 7}, {130, 301, 5}, {7, 1000, 3}, {1000, 36, 9}, {65, 260, 32}, {40, 64, 70}, {70, 9000, 12}, {9001, 40, 33}, {4, 4, 0}}) {
    const auto gradient = normals(rows * columns, 22), residual = normals(rows * columns, 23), q = normals(columns * rank, 24), p = normals(rows * rank, 25);
    for (const bool keep : {true, false}) {
      const auto run = [&](DeviceKind where, bool shift) {
        auto sum = zeros(rows * columns), projected = zeros(rows * rank), transposed = zeros(columns * rank), product = zeros(rows * columns), next = gradient;
        Mirror m(where, shift);
        const PackKernels& k = pack_kernels(where);
        k.project({.gradient = m(gradient), .residual = keep ? m(residual) : nullptr, .sum = keep ? m(sum) : nullptr, .rows = rows, .columns = columns, .rank = rank,
                   .factor_RN = m(q), .projected_RM = m(projected)}, {});
        if (rank > 0) {
          k.project_transposed(m(gradient), rows, columns, rank, m(p), m(transposed), {});
          k.low_rank_update(m(p), m(q), rows, columns, rank, m(product), 0.25f, m(next), {});
        }
        m.fetch();
        return std::vector{sum, product, next, projected, transposed};
      };
      const auto a = run(DeviceKind::cpu, false), b = run(device(), !keep);
      const std::string what = concat(rows, " x ", columns, ", rank ", rank, keep ? "" : ", shifted");
      EXPECT_EQ(b, run(device(), !keep)) << "two runs differ: " << what;
      for (const std::size_t same : {0u, 1u, 2u}) expect_same(a[same], b[same], what);
      // Products of normal values reach 20; a sum's rounding grows with its length.
      for (std::size_t i = 0; i < a[3].size(); ++i) ASSERT_NEAR(a[3][i], b[3][i], 4 * columns * 0x1p-24 * 20) << "project " << what << ", element " << i;
      for (std::size_t i = 0; i < a[4].size(); ++i) ASSERT_NEAR(a[4][i], b[4][i], 4 * rows * 0x1p-24 * 20) << "project_transposed " << what << ", element " << i;
    }
  }
}

double dot(const std::vector<float>& factor, std::int64_t rows, std::int64_t a, std::int64_t b) {
  return std::inner_product(factor.begin() + a * rows, factor.begin() + (a + 1) * rows, factor.begin() + b * rows, 0.0, std::plus<>(),
                            [](float x, float y) { return static_cast<double>(x) * y; });
}

TEST_P(PackContract, OrthonormalColumnsAreTheCpusUpToRounding) {
  for (const auto& [rows, rank] : {std::tuple{1, 1}, {700, 1}, {700, 6}, {5000, 32}, {300, 128}, {400, 150}}) {
    for (const double scale : {1.0, 1e-30, 1e15}) {
      const auto factor = normals(rows * rank, 26, scale);
      const auto run = [&](DeviceKind where) {
        auto result = factor;
        std::vector<double> scratch(static_cast<std::size_t>(rank * rank + 1)), moments(2);
        Mirror m(where);
        pack_kernels(where).orthonormalize({.factor_RM = m(result), .rows = rows, .rank = rank, .scratch_RR = m(scratch)}, {});
        pack_kernels(where).spectrum(m(factor), rows, rank, m(moments), {});
        m.fetch();
        return std::pair(result, moments);
      };
      const auto a = run(DeviceKind::cpu), b = run(device()), again = run(device());
      const std::string what = concat(rows, " x ", rank, ", scale ", scale);
      EXPECT_EQ(b, again) << what;
      for (std::int64_t r = 0; r < rank; ++r) {
        for (std::int64_t s = 0; s <= r; ++s) ASSERT_NEAR(dot(b.first, rows, r, s), r == s ? 1 : 0, 1e-6) << what << ", columns " << r << " and " << s;
      }
      for (std::size_t i = 0; i < a.first.size(); ++i) ASSERT_NEAR(a.first[i], b.first[i], 1e-5) << what << ", element " << i;
      for (const std::size_t i : {0u, 1u}) EXPECT_NEAR(a.second[i], b.second[i], 1e-10 * a.second[i]) << what;
    }
  }
}

TEST_P(PackContract, DependentColumnsBecomeZeroOrStartAgain) {
  constexpr std::int64_t kRows = 700;
  for (const std::int64_t rank : {1, 3, 40}) {
    auto factor = rank == 1 ? zeros(kRows) : normals(kRows * rank, 27);
    if (rank > 1) {
      for (std::int64_t i = 0; i < kRows; ++i) factor[static_cast<std::size_t>(kRows + i)] = 2 * factor[static_cast<std::size_t>(i)];
    }
    const std::int64_t dependent = rank == 1 ? 0 : 1;
    const auto run = [&](DeviceKind where, bool complete, const std::vector<float>& from) {
      auto result = from;
      std::vector<double> scratch(static_cast<std::size_t>(rank * rank + 1));
      Mirror m(where);
      pack_kernels(where).orthonormalize({.factor_RM = m(result), .rows = kRows, .rank = rank, .scratch_RR = m(scratch), .complete = complete, .key = 5, .step = 7}, {});
      m.fetch();
      return result;
    };
    const auto zeroed = run(device(), false, factor), completed = run(device(), true, factor), by_host = run(DeviceKind::cpu, true, factor);
    for (std::int64_t i = 0; i < kRows; ++i) ASSERT_EQ(zeroed[static_cast<std::size_t>(dependent * kRows + i)], 0) << "rank " << rank << ", element " << i;
    for (std::int64_t r = 0; r < rank; ++r) {
      for (std::int64_t s = 0; s <= r; ++s) ASSERT_NEAR(dot(completed, kRows, r, s), r == s ? 1 : 0, 1e-6) << "rank " << rank << ", columns " << r << " and " << s;
    }
    for (std::size_t i = 0; i < completed.size(); ++i) ASSERT_NEAR(completed[i], by_host[i], 1e-5) << "rank " << rank << ", element " << i;
    // Where no column depends on others there is nothing to complete, and not a bit changes.
    const auto independent = normals(kRows * rank, 28);
    EXPECT_EQ(run(device(), false, independent), run(device(), true, independent)) << "rank " << rank;
  }
}

}  // namespace
}  // namespace panther
