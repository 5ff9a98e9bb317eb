#include <algorithm>
#include <cmath>

#include "core/error.h"
#include "kernels/linalg/krylov_svd.h"
#include "kernels/linalg/lapack_kernels.h"
#include "kernels/linalg/rsvd.h"
#include "tools/bench/bench_matrix.h"
#include "tools/bench/sweep.h"

namespace panther::bench {
namespace {

constexpr std::int64_t kRank = 64, kSlowestLapack = 1024;

/// The same k of every method: error of the best rank k of a matrix with s_j = 1 / j.
double best_error(std::int64_t n) {
  double tail = 0, whole = 0;
  for (std::int64_t j = n; j >= 1; --j) {
    const double square = 1 / (static_cast<double>(j) * static_cast<double>(j));
    whole += square;
    if (j > kRank) tail += square;
  }
  return std::sqrt(tail / whole);
}

}  // namespace

std::vector<SweepPoint> sweep_svd(const SweepPlan& plan) {
  std::vector<SweepPoint> points;
  linalg::Context context{.kernels = plan.kernels, .allocator = plain_allocator(), .sum_over_ranks = {}, .seed = 5, .progress = {}};
  for (const std::int64_t n : plan.quick ? std::vector<std::int64_t>{128, 256} : std::vector<std::int64_t>{512, 1024, 2048, 4096}) {
    const Matrix a = falling_matrix(plan.kernels, DType::f32, n);
    const double size = static_cast<double>(n), width = static_cast<double>(std::min(kRank + 10, n));
    const std::string shape = concat(n, "x", n, ", k=", kRank);
    const auto add = [&](const std::string& name, double flops, double passes, double error, const std::function<void()>& body) {
      SweepPoint point{"svd", name, size, plan.figure(name, shape, DType::f32)};
      point.figure.timing = measure::time_runs(body, plan.timing());
      point.figure.flops = flops;
      point.figure.bytes = passes * 4 * size * size;
      point.figure.error = error;
      point.figure.numbers = {{"best_error", best_error(n)}};
      if (plan.measured) plan.measured(point);
      points.push_back(point);
    };
    for (const auto& [name, range] : {std::pair{"rsvd", linalg::RangeFinder::krylov}, {"rsvd, power", linalg::RangeFinder::power}}) {
      if (plan.told) plan.told(concat("svd: ", name, " ", shape));
      linalg::RsvdOptions options;
      options.rank = kRank;
      options.range = range;
      linalg::SvdResult found = linalg::rsvd(context, a.view(), options);
      const double passes = found.passes;
      add(name, 2 * size * size * width * passes, passes, found.relative_error, [&] { found = linalg::rsvd(context, a.view(), options); });
    }
    if (n > kSlowestLapack || plan.kernels.lapack == nullptr) continue;
    if (plan.told) plan.told(concat("svd: lapack ", shape));
    const auto matrix = [&](std::int64_t rows, std::int64_t columns) {
      return Matrix(plain_allocator(), {plan.kernels.device, 0}, {}, DType::f32, rows, columns);
    };
    const Matrix copy = matrix(n, n), u = matrix(n, n), s = matrix(n, 1), vt = matrix(n, n);
    // gesdd with both factors: about 6 n^3 for the bidiagonalization and products and 20 n^3 in all (Golub and Van Loan, table 8.6.1).
    add("lapack gesdd", 20 * size * size * size, 1, best_error(n), [&] {
      plan.kernels.cast(a.view(), copy.view(), {});
      plan.kernels.lapack->svd(copy.view(), u.view(), s.column(0), vt.view(), plain_allocator(), {});
    });
  }
  return points;
}

}  // namespace panther::bench
