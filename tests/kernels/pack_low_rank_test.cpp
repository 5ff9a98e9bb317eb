// Low-rank kernels against the products, and what the number of threads changes.
#include <omp.h>
#include <algorithm>
#include <cmath>
#include <tuple>

#include "tests/kernels/pack_fixture.h"

namespace panther {
namespace {

using test::normals;

const PackKernels& kernels() { return pack_kernels(DeviceKind::cpu); }

TEST(PackTest, TheNumberOfThreadsChangesNoBit) {
  const auto gradient = normals(300000, 13), residual = normals(300000, 14);
  const int threads = omp_get_max_threads();
  const auto run = [&] {
    std::vector<std::byte> packed(static_cast<std::size_t>(quantized_bytes({3, 512}, 300000)));
    std::vector<float> next(gradient.size());
    kernels().quantize({.format = {3, 512}, .gradient = gradient.data(), .residual = residual.data(), .next = next.data(), .count = 300000, .packed = packed.data()}, {});
    std::vector<float> out(600 * 4 + 500 * 4), sum(300000);
    const auto factor = normals(500 * 4, 15);
    kernels().project({.gradient = gradient.data(), .residual = residual.data(), .sum = sum.data(), .rows = 600, .columns = 500, .rank = 4,
                       .factor_RN = factor.data(), .projected_RM = out.data()}, {});
    std::vector<double> scratch(17);
    kernels().orthonormalize({.factor_RM = out.data(), .rows = 600, .rank = 4, .scratch_RR = scratch.data()}, {});
    kernels().project_transposed(sum.data(), 600, 500, 4, out.data(), out.data() + 2400, {});
    kernels().low_rank_update(out.data(), out.data() + 2400, 600, 500, 4, nullptr, 0.5f, sum.data(), {});
    return std::tuple(packed, next, out, sum);
  };
  omp_set_num_threads(1);
  const auto one = run();
  omp_set_num_threads(3);
  EXPECT_EQ(run(), one);
  omp_set_num_threads(threads);
}

TEST(PackTest, LowRankKernelsAreTheProducts) {
  for (const auto& [rows, columns, rank] : {std::tuple{1, 1, 1}, {3, 5, 2}, {17, 9, 4}, {64, 130, 7}, {130, 301, 5}, {7, 1000, 3}}) {
    const auto gradient = normals(rows * columns, 16), residual = normals(rows * columns, 17);
    const auto q = normals(columns * rank, 18), p = normals(rows * rank, 19);
    std::vector<float> sum(gradient.size()), projected(static_cast<std::size_t>(rows * rank)), transposed(static_cast<std::size_t>(columns * rank));
    kernels().project({.gradient = gradient.data(), .residual = residual.data(), .sum = sum.data(), .rows = rows, .columns = columns, .rank = rank,
                       .factor_RN = q.data(), .projected_RM = projected.data()}, {});
    kernels().project_transposed(sum.data(), rows, columns, rank, p.data(), transposed.data(), {});
    std::vector<float> product(gradient.size()), next = sum;
    kernels().low_rank_update(p.data(), q.data(), rows, columns, rank, product.data(), 0.25f, next.data(), {});
    const auto at = [](std::int64_t i, std::int64_t length, std::int64_t j) { return static_cast<std::size_t>(i * length + j); };
    for (std::int64_t i = 0; i < rows; ++i) {
      for (std::int64_t j = 0; j < columns; ++j) {
        ASSERT_EQ(sum[at(i, columns, j)], gradient[at(i, columns, j)] + residual[at(i, columns, j)]);
        double exact = 0, absolute = 0;
        for (std::int64_t r = 0; r < rank; ++r) {
          const double term = static_cast<double>(p[at(r, rows, i)]) * static_cast<double>(q[at(r, columns, j)]);
          exact += term;
          absolute += std::abs(term);
        }
        ASSERT_NEAR(product[at(i, columns, j)], exact, (rank + 1) * 0x1p-24 * absolute);
        ASSERT_EQ(next[at(i, columns, j)], sum[at(i, columns, j)] - 0.25f * product[at(i, columns, j)]);
      }
    }
    for (std::int64_t r = 0; r < rank; ++r) {
      for (std::int64_t i = 0; i < rows; ++i) {
        double exact = 0, absolute = 0;
        for (std::int64_t j = 0; j < columns; ++j) {
          exact += static_cast<double>(sum[at(i, columns, j)]) * static_cast<double>(q[at(r, columns, j)]);
          absolute += std::abs(static_cast<double>(sum[at(i, columns, j)]) * static_cast<double>(q[at(r, columns, j)]));
        }
        ASSERT_NEAR(projected[at(r, rows, i)], exact, columns * 0x1p-24 * absolute);
      }
      for (std::int64_t j = 0; j < columns; ++j) {
        double exact = 0, absolute = 0;
        for (std::int64_t i = 0; i < rows; ++i) {
          exact += static_cast<double>(sum[at(i, columns, j)]) * static_cast<double>(p[at(r, rows, i)]);
          absolute += std::abs(static_cast<double>(sum[at(i, columns, j)]) * static_cast<double>(p[at(r, rows, i)]));
        }
        ASSERT_NEAR(transposed[at(r, columns, j)], exact, (rows + 4) * 0x1p-24 * absolute);
      }
    }
  }
}

/// Orthonormal to f32 rounding, the same span, for well and badly conditioned columns of any scale; dependent columns become zero.
TEST(PackTest, OrthonormalColumnsSpanTheSame) {
  constexpr std::int64_t kRows = 700, kRank = 6;
  for (const double scale : {1.0, 1e-30, 1e15}) {
    for (const double closeness : {1.0, 1e-3}) {
      auto factor = normals(kRows * kRank, 20, scale);
      for (std::int64_t i = 0; i < kRows; ++i) {  // column 3 leans on column 0
        auto& x = factor[static_cast<std::size_t>(3 * kRows + i)];
        x = static_cast<float>(static_cast<double>(factor[static_cast<std::size_t>(i)]) + closeness * static_cast<double>(x));
      }
      const auto before = factor;
      std::vector<double> scratch(kRank * kRank + 1);
      kernels().orthonormalize({.factor_RM = factor.data(), .rows = kRows, .rank = kRank, .scratch_RR = scratch.data()}, {});
      const auto dot = [&](const std::vector<float>& a, std::int64_t r, const std::vector<float>& b, std::int64_t s) {
        double sum = 0;
        for (std::int64_t i = 0; i < kRows; ++i) sum += static_cast<double>(a[static_cast<std::size_t>(r * kRows + i)]) * static_cast<double>(b[static_cast<std::size_t>(s * kRows + i)]);
        return sum;
      };
      for (std::int64_t r = 0; r < kRank; ++r) {
        for (std::int64_t s = 0; s < kRank; ++s) EXPECT_NEAR(dot(factor, r, factor, s), r == s ? 1 : 0, 1e-6);
        double inside = 0;
        for (std::int64_t s = 0; s < kRank; ++s) inside += std::pow(dot(before, r, factor, s), 2);
        EXPECT_NEAR(inside / dot(before, r, before, r), 1, 1e-6);
      }
    }
  }
  auto dependent = normals(kRows * 3, 21);
  for (std::int64_t i = 0; i < kRows; ++i) dependent[static_cast<std::size_t>(kRows + i)] = 2 * dependent[static_cast<std::size_t>(i)];
  std::vector<double> scratch(10);
  kernels().orthonormalize({.factor_RM = dependent.data(), .rows = kRows, .rank = 3, .scratch_RR = scratch.data()}, {});
  EXPECT_TRUE(std::none_of(dependent.begin(), dependent.begin() + kRows, [](float v) { return v == 0; }));
  EXPECT_TRUE(std::all_of(dependent.begin() + kRows, dependent.begin() + 2 * kRows, [](float v) { return v == 0; }));
  std::vector<float> zeros(kRows * 3, 0.0f);
  kernels().orthonormalize({.factor_RM = zeros.data(), .rows = kRows, .rank = 3, .scratch_RR = scratch.data()}, {});
  EXPECT_TRUE(std::all_of(zeros.begin(), zeros.end(), [](float v) { return v == 0; }));
  // Asked to, both start again at random, orthonormal to what there is.
  for (std::vector<float>* factor : {&dependent, &zeros}) {
    kernels().orthonormalize({.factor_RM = factor->data(), .rows = kRows, .rank = 3, .scratch_RR = scratch.data(), .complete = true, .key = 5, .step = 7}, {});
    for (std::int64_t r = 0; r < 3; ++r) {
      for (std::int64_t t = 0; t <= r; ++t) {
        const auto at = factor->begin();
        EXPECT_NEAR(std::inner_product(at + r * kRows, at + (r + 1) * kRows, at + t * kRows, 0.0), r == t ? 1 : 0, 1e-6);
      }
    }
  }
}

}  // namespace
}  // namespace panther
