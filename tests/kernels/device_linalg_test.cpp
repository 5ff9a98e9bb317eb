// The decompositions on every device, against what they must give back: factors multiply to the matrix, bases are orthonormal, matrices of low rank are
// reproduced exactly, consistent equations are solved. References are plain loops on the host in f64.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "kernels/cuda/device_memory.h"
#include "kernels/linalg/bqrrp.h"
#include "kernels/linalg/cqrrpt.h"
#include "kernels/linalg/cqrrt.h"
#include "kernels/linalg/eigsh.h"
#include "kernels/linalg/interpolative.h"
#include "kernels/linalg/lapack_kernels.h"
#include "kernels/linalg/least_squares.h"
#include "kernels/linalg/nystrom.h"
#include "kernels/linalg/qb.h"
#include "kernels/linalg/rsvd.h"
#include "tests/kernels/device_copy.h"

namespace panther::linalg {
namespace {

using test::Array;
using test::DeviceCopy;

/// Row-major f64 on the host.
struct Dense {
  std::int64_t rows = 0, columns = 0;
  std::vector<double> values;
  Dense(std::int64_t m, std::int64_t n) : rows(m), columns(n), values(static_cast<std::size_t>(m * n)) {}
  double& at(std::int64_t i, std::int64_t j) { return values[static_cast<std::size_t>(i * columns + j)]; }
  double at(std::int64_t i, std::int64_t j) const { return values[static_cast<std::size_t>(i * columns + j)]; }
  double norm() const {
    double sum = 0;
    for (const double value : values) sum += value * value;
    return std::sqrt(sum);
  }
};

Dense product(const Dense& a, const Dense& b) {
  Dense c(a.rows, b.columns);
  for (std::int64_t i = 0; i < a.rows; ++i)
    for (std::int64_t k = 0; k < a.columns; ++k)
      for (std::int64_t j = 0; j < b.columns; ++j) c.at(i, j) += a.at(i, k) * b.at(k, j);
  return c;
}

Dense transposed(const Dense& a) {
  Dense t(a.columns, a.rows);
  for (std::int64_t i = 0; i < a.rows; ++i)
    for (std::int64_t j = 0; j < a.columns; ++j) t.at(j, i) = a.at(i, j);
  return t;
}

double distance(const Dense& a, const Dense& b) {
  Dense difference = a;
  for (std::size_t i = 0; i < a.values.size(); ++i) difference.values[i] -= b.values[i];
  return difference.norm();
}

double departure_from_orthonormal(const Dense& q) {
  Dense gram = product(transposed(q), q);
  for (std::int64_t i = 0; i < gram.rows; ++i) gram.at(i, i) -= 1;
  return gram.norm();
}

Dense of(const Array& array) {
  Dense result(array.view.shape[0], array.view.shape[1]);
  for (std::int64_t i = 0; i < result.rows; ++i)
    for (std::int64_t j = 0; j < result.columns; ++j) result.at(i, j) = array.at(i, j);
  return result;
}

Array to_array(const Dense& a, DType dtype) {
  Array array = test::make_matrix(dtype, a.rows, a.columns);
  for (std::int64_t i = 0; i < a.rows; ++i)
    for (std::int64_t j = 0; j < a.columns; ++j) array.set(i, j, a.at(i, j));
  return array;
}

class DeviceLinalg : public testing::TestWithParam<std::tuple<DeviceKind, DType>> {
 protected:
  void SetUp() override {
    if (std::get<0>(GetParam()) == DeviceKind::cuda && cuda_kernels() == nullptr) GTEST_SKIP() << why_no_cuda();
    if (kernels().lapack == nullptr) GTEST_SKIP() << "built with PANTHER_WITH_OPENBLAS=OFF";
  }
  static const KernelSet& kernels() { return kernels_for(std::get<0>(GetParam())); }
  static DType dtype() { return std::get<1>(GetParam()); }
  static double unit() { return dtype() == DType::f64 ? 0x1p-53 : 0x1p-24; }
  static Context context() { return {.kernels = kernels(), .allocator = plain_allocator(), .sum_over_ranks = {}, .seed = 3, .progress = {}}; }

  static Dense normal(std::int64_t m, std::int64_t n, std::uint64_t seed) { return of(test::random_matrix(DType::f64, m, n, seed)); }
  static Dense low_rank(std::int64_t m, std::int64_t n, std::int64_t rank) { return product(normal(m, rank, 1), normal(rank, n, 2)); }
  /// A result on the host.
  static Dense fetch(const TensorView& view) {
    Array host = test::make_matrix(DType::f64, view.shape[0], view.dims == 1 ? 1 : view.shape[1]);
    DeviceCopy there(kernels(), host);
    const TensorView target = view.dims == 1 ? TensorView(there.view().data, DType::f64, {view.shape[0]}, there.view().device) : there.view();
    kernels().cast(view, target, {});
    return of(there.fetch());
  }
  static Dense fetch(const Matrix& matrix) { return fetch(matrix.view()); }
  static Matrix matrix_like(const TensorView& view, std::int64_t m, std::int64_t n) { return Matrix(plain_allocator(), view.device, {}, view.dtype, m, n); }
  static Matrix copy_of(const TensorView& view) {
    Matrix copy = matrix_like(view, view.shape[0], view.shape[1]);
    kernels().cast(view, copy.view(), {});
    return copy;
  }
  static Dense permuted(const Dense& a, const std::vector<std::int64_t>& pivots) {
    Dense result(a.rows, static_cast<std::int64_t>(pivots.size()));
    for (std::int64_t i = 0; i < a.rows; ++i)
      for (std::int64_t j = 0; j < result.columns; ++j) result.at(i, j) = a.at(i, pivots[static_cast<std::size_t>(j)]);
    return result;
  }
  static Dense scaled_columns(Dense a, const Dense& factors) {
    for (std::int64_t i = 0; i < a.rows; ++i)
      for (std::int64_t j = 0; j < a.columns; ++j) a.at(i, j) *= factors.values[static_cast<std::size_t>(j)];
    return a;
  }
  /// Q_steps (what QR made of the matrix) after that many steps of GEQRF's format: its first columns hold R and reflectors, the others what is left.
  static Dense undone(const Dense& factored, const Dense& tau, std::int64_t steps) {
    Dense r = factored;
    for (std::int64_t j = 0; j < steps; ++j)
      for (std::int64_t i = j + 1; i < r.rows; ++i) r.at(i, j) = 0;
    for (std::int64_t k = steps - 1; k >= 0; --k) {
      for (std::int64_t j = 0; j < r.columns; ++j) {
        double dot = r.at(k, j);
        for (std::int64_t i = k + 1; i < r.rows; ++i) dot += factored.at(i, k) * r.at(i, j);
        dot *= tau.values[static_cast<std::size_t>(k)];
        r.at(k, j) -= dot;
        for (std::int64_t i = k + 1; i < r.rows; ++i) r.at(i, j) -= dot * factored.at(i, k);
      }
    }
    return r;
  }
  static Dense product_of_factors(const Dense& factored, const Dense& tau) { return undone(factored, tau, std::min(factored.rows, factored.columns)); }
  /// What rounding leaves of a computation with sums of `depth` terms, norm-wise, with a constant for its several stages.
  static double bound(std::int64_t depth) { return 32 * std::sqrt(static_cast<double>(depth)) * unit(); }
};

TEST_P(DeviceLinalg, TallPivotedQr) {
  // Above and below what takes products in place of triangular solves.
  for (const auto& [m, n] : {std::pair<std::int64_t, std::int64_t>{500, 40}, {17000, 24}, {33, 33}}) {
    const Array a = to_array(normal(m, n, 4), dtype());
    DeviceCopy there(kernels(), a);
    const CqrrptResult result = cqrrpt(context(), there.view());
    ASSERT_EQ(result.rank, n);
    const Dense q = fetch(result.q_MK), whole = of(a);
    EXPECT_LT(departure_from_orthonormal(q), static_cast<double>(n) * bound(m));
    EXPECT_LT(distance(permuted(whole, result.pivots), product(q, fetch(result.r_KN))), bound(m) * whole.norm()) << m << " x " << n;
  }
}

TEST_P(DeviceLinalg, TallQrFindsTheRank) {
  const Array a = to_array(low_rank(700, 50, 17), dtype());
  DeviceCopy there(kernels(), a);
  const CqrrptResult result = cqrrpt(context(), there.view());
  EXPECT_EQ(result.rank, 17);
  const Dense whole = of(a);
  EXPECT_LT(distance(permuted(whole, result.pivots), product(fetch(result.q_MK), fetch(result.r_KN))), 50 * bound(700) * whole.norm());
}

TEST_P(DeviceLinalg, TallQrWithoutPivots) {
  const Array a = to_array(normal(20000, 20, 6), dtype());
  DeviceCopy there(kernels(), a);
  const CqrrtResult result = cqrrt(context(), there.view());
  const Dense q = fetch(result.q_MN), whole = of(a);
  EXPECT_LT(departure_from_orthonormal(q), 20 * bound(20000));
  EXPECT_LT(distance(whole, product(q, fetch(result.r_NN))), bound(20000) * whole.norm());
}

TEST_P(DeviceLinalg, BlockedPivotedQr) {
  for (const std::int64_t block : {0, 32, 48}) {
    for (const auto& [m, n] : {std::pair<std::int64_t, std::int64_t>{200, 200}, {150, 220}, {300, 120}}) {
      const Array a = to_array(normal(m, n, 7), dtype());
      DeviceCopy there(kernels(), a);
      const BqrrpResult result = bqrrp(context(), there.view(), {.block_columns = block});
      const Dense r = product_of_factors(fetch(result.factored_MN), fetch(result.tau_K));
      const Dense whole = of(a);
      EXPECT_LT(distance(permuted(whole, result.pivots), r), 4 * bound(m) * whole.norm()) << m << " x " << n << " in blocks of " << block;
    }
  }
}

// Rank and order when what is left of a block means nothing: the sketch is taken again.
TEST_P(DeviceLinalg, BlockedPivotedQrOfLowRank) {
  const Array a = to_array(low_rank(180, 160, 41), dtype());
  DeviceCopy there(kernels(), a);
  const BqrrpResult result = bqrrp(context(), there.view(), {.block_columns = 32, .rank_tolerance = dtype() == DType::f64 ? 1e-12 : 1e-4});
  EXPECT_EQ(result.report.rank, 41);
  const Dense whole = of(a);
  EXPECT_LT(distance(permuted(whole, result.pivots), product_of_factors(fetch(result.factored_MN), fetch(result.tau_K))), 8 * bound(180) * whole.norm());
}

TEST_P(DeviceLinalg, PivotedQrTakesTheLargestRemainingColumn) {
  for (const auto& [m, n, scale] : {std::tuple<std::int64_t, std::int64_t, double>{40, 40, 1}, {300, 200, 1e-30}, {60, 150, 1e30}, {1, 7, 1}, {9, 1, 1}, {700, 512, 1}}) {
    Dense whole = normal(m, n, 21);
    for (double& value : whole.values) value *= scale;
    const Array a = to_array(whole, dtype());
    whole = of(a);
    DeviceCopy there(kernels(), a);
    const std::int64_t least = std::min(m, n);
    const Matrix factored = copy_of(there.view()), tau = matrix_like(there.view(), least, 1);
    std::vector<std::int64_t> pivots(static_cast<std::size_t>(n));
    kernels().lapack->qr_pivoted(factored.view(), tau.column(0), pivots, plain_allocator(), {});
    const Dense found = fetch(factored);
    EXPECT_LT(distance(permuted(whole, pivots), product_of_factors(found, fetch(tau))), 4 * bound(m) * whole.norm()) << m << " x " << n;
    std::vector<std::int64_t> sorted = pivots;
    std::sort(sorted.begin(), sorted.end());
    for (std::int64_t j = 0; j < n; ++j) ASSERT_EQ(sorted[static_cast<std::size_t>(j)], j);
    // |R_kk| is no smaller than what any later column has left below row k.
    double worst = 0;
    for (std::int64_t j = 0; j < n; ++j) {
      double square = 0;
      for (std::int64_t k = std::min(least, j + 1) - 1; k >= 0; --k) {
        square += found.at(k, j) * found.at(k, j);
        if (k < j) worst = std::max(worst, std::sqrt(square) - std::abs(found.at(k, k)));
      }
    }
    EXPECT_LE(worst, bound(m) * whole.norm()) << m << " x " << n;
  }
}

TEST_P(DeviceLinalg, PivotedQrOfZerosAndOfEqualColumns) {
  Dense whole(6, 5);
  for (std::int64_t i = 0; i < 6; ++i) whole.at(i, 2) = whole.at(i, 4) = 3;
  const Array a = to_array(whole, dtype());
  DeviceCopy there(kernels(), a);
  const Matrix factored = copy_of(there.view()), tau = matrix_like(there.view(), 5, 1);
  std::vector<std::int64_t> pivots(5);
  kernels().lapack->qr_pivoted(factored.view(), tau.column(0), pivots, plain_allocator(), {});
  EXPECT_EQ(pivots.front(), 2);
  EXPECT_LT(distance(permuted(whole, pivots), product_of_factors(fetch(factored), fetch(tau))), bound(6) * whole.norm());
}

TEST_P(DeviceLinalg, ReflectorsOfAnOrthonormalBasis) {
  for (const auto& [m, n] : {std::pair<std::int64_t, std::int64_t>{400, 300}, {130, 130}, {50, 1}, {90, 40}}) {
    const Array a = to_array(normal(m, n, 22), dtype());
    DeviceCopy there(kernels(), a);
    const CqrrtResult thin = cqrrt(context(), there.view());
    const Dense before = product(fetch(thin.q_MN), fetch(thin.r_NN));
    const Matrix q = copy_of(thin.q_MN.view()), r = copy_of(thin.r_NN.view()), tau = matrix_like(there.view(), n, 1),
                 t = matrix_like(there.view(), n, n);
    kernels().lapack->reconstruct_q(q.view(), r.view(), tau.column(0), t.view(), plain_allocator(), {});
    const Dense factored = fetch(q), triangle = fetch(t), taus = fetch(tau);
    EXPECT_LT(distance(before, product_of_factors(factored, taus)), static_cast<double>(n) * bound(m) * before.norm()) << m << " x " << n;
    // H_1 ... H_n = I - V T V^T: its first n columns times D r are q r again.
    Dense v(m, n), top(n, n);
    for (std::int64_t j = 0; j < n; ++j) {
      for (std::int64_t i = j; i < m; ++i) v.at(i, j) = i == j ? 1 : factored.at(i, j);
      for (std::int64_t i = 0; i <= j; ++i) top.at(i, j) = factored.at(i, j);
      for (std::int64_t i = j + 1; i < n; ++i) EXPECT_EQ(triangle.at(i, j), 0);
      EXPECT_EQ(taus.values[static_cast<std::size_t>(j)], triangle.at(j, j));
    }
    Dense square(n, n);
    for (std::int64_t j = 0; j < n; ++j)
      for (std::int64_t i = 0; i <= j; ++i) square.at(j, i) = v.at(j, i);
    Dense back = product(v, product(triangle, product(transposed(square), top)));
    for (double& value : back.values) value = -value;
    for (std::int64_t j = 0; j < n; ++j)
      for (std::int64_t i = 0; i <= j; ++i) back.at(i, j) += top.at(i, j);
    EXPECT_LT(distance(before, back), static_cast<double>(n) * bound(m) * before.norm()) << m << " x " << n;
  }
}

// Wide enough for blocks of columns, tall enough for panels of rows; columns fall off by six orders (three in f32), and blocks with them.
TEST_P(DeviceLinalg, TallQrOfGradedColumnsByProducts) {
  const std::int64_t m = 16500, n = 300;
  Array a = test::random_matrix(dtype(), m, n, 23, test::Layout::columns);
  for (std::int64_t j = 0; j < n; ++j) {
    const double scale = std::pow(10.0, -static_cast<double>(j) / (dtype() == DType::f64 ? 50 : 100));
    for (std::int64_t i = 0; i < m; ++i) a.set(i, j, a.at(i, j) * scale);
  }
  DeviceCopy there(kernels(), a);
  const CqrrptResult result = cqrrpt(context(), there.view());
  ASSERT_EQ(result.rank, n);
  EXPECT_LT(result.quality.residual, bound(m));
  EXPECT_LT(result.quality.orthogonality, static_cast<double>(n) * bound(m));
}

TEST_P(DeviceLinalg, GramOfManyRows) {
  for (const auto& [m, n] : {std::pair<std::int64_t, std::int64_t>{5003, 37}, {2048, 9}, {700, 5}}) {
    const Array a = to_array(normal(m, n, 24), dtype());
    DeviceCopy there(kernels(), a);
    const Matrix columns = copy_of(there.view()), gram(plain_allocator(), there.view().device, {}, DType::f64, n, n);
    kernels().lapack->gram(columns.view(), gram.view(), plain_allocator(), {});
    const Dense whole = of(a);
    EXPECT_LT(distance(fetch(gram), product(transposed(whole), whole)), 1e-14 * static_cast<double>(m) * static_cast<double>(n)) << m << " x " << n;
  }
}

TEST_P(DeviceLinalg, CholeskyOfSmallMatricesAndWhereItFails) {
  for (const std::int64_t n : {1, 2, 33, 138, 200}) {
    const Dense factor = normal(n + 3, n, 25);
    Dense square = product(transposed(factor), factor);
    const Array a = to_array(square, dtype());
    DeviceCopy there(kernels(), a);
    const Matrix r = copy_of(there.view());
    ASSERT_EQ(kernels().lapack->cholesky(r.view(), plain_allocator(), {}), 0);
    Dense upper = fetch(r);
    for (std::int64_t i = 0; i < n; ++i)
      for (std::int64_t j = 0; j < i; ++j) upper.at(i, j) = 0;
    square = of(a);
    EXPECT_LT(distance(product(transposed(upper), upper), square), bound(n) * square.norm()) << n;
    if (n < 5) continue;
    Array broken = a;
    broken.set(4, 4, -1);
    DeviceCopy bad(kernels(), broken);
    const Matrix again = copy_of(bad.view());
    EXPECT_EQ(kernels().lapack->cholesky(again.view(), plain_allocator(), {}), 5);
  }
}

TEST_P(DeviceLinalg, LeadingPivotsLeaveTheRest) {
  const auto lead = kernels().lapack->lead_pivots;
  if (lead == nullptr) GTEST_SKIP() << "this device picks columns by LU";
  const std::int64_t m = 60, n = 150, steps = 20;
  const Array a = to_array(normal(m, n, 26), dtype());
  DeviceCopy there(kernels(), a);
  const Matrix turned = copy_of(there.view()), tau = matrix_like(there.view(), steps, 1), whole_tau = matrix_like(there.view(), m, 1), whole = copy_of(there.view());
  std::vector<std::int64_t> pivots(static_cast<std::size_t>(n)), all(static_cast<std::size_t>(n));
  ASSERT_TRUE(lead(turned.view(), tau.column(0), pivots, plain_allocator(), {}));
  kernels().lapack->qr_pivoted(whole.view(), whole_tau.column(0), all, plain_allocator(), {});
  for (std::int64_t j = 0; j < steps; ++j) EXPECT_EQ(pivots[static_cast<std::size_t>(j)], all[static_cast<std::size_t>(j)]);
  const Dense expected = of(a);
  EXPECT_LT(distance(permuted(expected, pivots), undone(fetch(turned), fetch(tau), steps)), 4 * bound(m) * expected.norm());
}

// Sums over thousands of terms of one sign, where an accumulator that rounds towards zero would be off by a hundred times as much; both ways of storing a.
TEST_P(DeviceLinalg, NarrowProductsAreAsExactAsTheDtype) {
  const auto narrow = kernels().lapack->narrow_product;
  if (narrow == nullptr || dtype() != DType::f32) GTEST_SKIP() << "no product of its own for this device or dtype";
  for (const auto& [m, k, n] : {std::tuple<std::int64_t, std::int64_t, std::int64_t>{2052, 3004, 74}, {2048, 8192, 138}, {5000, 2100, 200}}) {
    for (const test::Layout layout : {test::Layout::rows, test::Layout::columns}) {
      for (const double shift : {0.0, 3.0}) {
        Array a = test::random_matrix(DType::f32, m, k, 27, layout), b = test::random_matrix(DType::f32, k, n, 28, test::Layout::columns);
        for (std::int64_t i = 0; i < m; i += 251)
          for (std::int64_t l = 0; l < k; ++l) a.set(i, l, a.at(i, l) + shift);
        for (std::int64_t l = 0; l < k; ++l)
          for (std::int64_t j = 0; j < n; ++j) b.set(l, j, b.at(l, j) + shift);
        const Array c = test::random_matrix(DType::f32, m, n, 29, test::Layout::columns);
        DeviceCopy left(kernels(), a), right(kernels(), b), out(kernels(), c);
        const bool made = narrow(0.5, left.view(), right.view(), -2, out.view(), plain_allocator(), {});
        if (device_capability(0) != "9.0") GTEST_SKIP() << "not on this device";
        ASSERT_TRUE(made);
        const Array found = out.fetch();
        double worst = 0;
        for (std::int64_t i = 0; i < m; i += 251) {
          for (std::int64_t j = 0; j < n; ++j) {
            double sum = 0, square_a = 0, square_b = 0;
            for (std::int64_t l = 0; l < k; ++l) sum += a.at(i, l) * b.at(l, j), square_a += a.at(i, l) * a.at(i, l), square_b += b.at(l, j) * b.at(l, j);
            worst = std::max(worst, std::abs(found.at(i, j) - (0.5 * sum - 2 * c.at(i, j))) / (0.5 * std::sqrt(square_a * square_b) + 2 * std::abs(c.at(i, j))));
          }
        }
        // A segment is 96 sums rounded towards zero, each by 2^-23 at most, then k / 256 additions to nearest.
        EXPECT_LT(worst, 96 * 0x1p-23 + static_cast<double>(k / 256) * 0x1p-24) << m << " x " << k << " x " << n << " shift " << shift;
        std::printf("narrow product %lld x %lld x %lld, shift %g: worst error %.2g\n", static_cast<long long>(m), static_cast<long long>(k), static_cast<long long>(n), shift, worst);
      }
    }
  }
}

TEST_P(DeviceLinalg, TruncatedSvdOfLowRankIsExact) {
  const Array a = to_array(low_rank(300, 210, 12), dtype());
  DeviceCopy there(kernels(), a);
  for (const RangeFinder range : {RangeFinder::krylov, RangeFinder::power}) {
    RsvdOptions options;
    options.rank = 12;
    options.range = range;
    const SvdResult result = rsvd(context(), there.view(), options);
    const Dense u = fetch(result.u_MK), v = fetch(result.v_NK), whole = of(a);
    EXPECT_LT(departure_from_orthonormal(u), 12 * bound(300));
    EXPECT_LT(departure_from_orthonormal(v), 12 * bound(300));
    EXPECT_LT(distance(whole, product(scaled_columns(u, fetch(result.s_K)), transposed(v))), 4 * bound(300) * whole.norm());
  }
}

TEST_P(DeviceLinalg, QbOfLowRankIsExact) {
  const Array a = to_array(low_rank(260, 180, 20), dtype());
  DeviceCopy there(kernels(), a);
  QbOptions options;
  options.rank = 40;
  options.tolerance = 1e-3;
  const QbResult result = qb(context(), there.view(), options);
  const Dense q = fetch(result.q_MK), whole = of(a);
  EXPECT_LT(distance(whole, product(q, transposed(fetch(result.bt_NK)))), 1e-3 * whole.norm());
  EXPECT_LT(departure_from_orthonormal(q), 40 * bound(260));
}

TEST_P(DeviceLinalg, NystromAndEigshOfLowRankAreExact) {
  const Dense factor = normal(220, 9, 11);
  const Array a = to_array(product(factor, transposed(factor)), dtype());
  DeviceCopy there(kernels(), a);
  const Dense whole = of(a);
  NystromOptions options;
  options.rank = 9;
  const EigenResult nystroem = nystrom(context(), there.view(), options);
  const Dense vectors = fetch(nystroem.vectors_MK);
  // The shift that Nystrom adds and takes away costs half of the digits at worst.
  EXPECT_LT(distance(whole, product(scaled_columns(vectors, fetch(nystroem.values_K)), transposed(vectors))), 100 * bound(220) * whole.norm());
  EigshOptions eigen;
  eigen.rank = 9;
  const EigenResult found = eigsh(context(), there.view(), eigen);
  const Dense basis = fetch(found.vectors_MK);
  EXPECT_LT(distance(whole, product(scaled_columns(basis, fetch(found.values_K)), transposed(basis))), 8 * bound(220) * whole.norm());
}

TEST_P(DeviceLinalg, ColumnsOfLowRankSpanTheMatrix) {
  const Array a = to_array(low_rank(180, 140, 10), dtype());
  DeviceCopy there(kernels(), a);
  InterpolativeOptions options;
  options.rank = 10;
  const auto result = column_id(context(), there.view(), options);
  const Dense whole = of(a);
  EXPECT_LT(distance(whole, product(permuted(whole, result.columns), fetch(result.weights_KN))), 100 * bound(180) * whole.norm());
}

TEST_P(DeviceLinalg, ConsistentEquationsAreSolved) {
  const Dense a = normal(900, 30, 13), x = normal(30, 2, 14);
  const Array stored = to_array(a, dtype()), right = to_array(product(of(stored), x), dtype());
  DeviceCopy matrix(kernels(), stored), sides(kernels(), right);
  const LeastSquaresResult result = least_squares(context(), matrix.view(), sides.view());
  // Condition of a normal matrix of this shape: below (sqrt 900 + sqrt 30) / (sqrt 900 - sqrt 30) = 1.45; the right sides are rounded once.
  EXPECT_LT(distance(fetch(result.x_NC), x), 50 * bound(900) * x.norm());
}

std::string name_of(const testing::TestParamInfo<std::tuple<DeviceKind, DType>>& tested) { return std::string(dtype_name(std::get<1>(tested.param))); }
INSTANTIATE_TEST_SUITE_P(Cpu, DeviceLinalg, testing::Combine(testing::Values(DeviceKind::cpu), testing::Values(DType::f32, DType::f64)), name_of);
INSTANTIATE_TEST_SUITE_P(Gpu, DeviceLinalg, testing::Combine(testing::Values(DeviceKind::cuda), testing::Values(DType::f32, DType::f64)), name_of);

}  // namespace
}  // namespace panther::linalg
