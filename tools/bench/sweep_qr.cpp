#include <algorithm>

#include "core/error.h"
#include "kernels/linalg/bqrrp.h"
#include "kernels/linalg/cqrrpt.h"
#include "kernels/linalg/cqrrt.h"
#include "kernels/linalg/lapack_kernels.h"
#include "tools/bench/bench_matrix.h"
#include "tools/bench/sweep.h"

namespace panther::bench {
namespace {

class QrSweep {
 public:
  explicit QrSweep(const SweepPlan& plan)
      : plan_(plan), context_{.kernels = plan.kernels, .allocator = plain_allocator(), .sum_over_ranks = {}, .seed = 5, .progress = {}} {}

  void tall(std::int64_t m, std::int64_t n) {
    const Matrix a = normal_matrix(plan_.kernels, DType::f64, m, n);
    const std::string shape = concat(m, "x", n);
    const double rows = static_cast<double>(m), columns = static_cast<double>(n), flops = 3 * rows * columns * columns;
    linalg::CqrrptResult pivoted = linalg::cqrrpt(context_, a.view());
    linalg::CqrrptOptions without_estimate{.estimate_error = false};
    add("cqrrpt", shape, rows, flops, a, pivoted.quality.residual, [&] { linalg::cqrrpt(context_, a.view(), without_estimate); });
    linalg::CqrrtResult plain = linalg::cqrrt(context_, a.view());
    linalg::CqrrtOptions plain_without{.estimate_error = false};
    add("cqrrt", shape, rows, flops, a, plain.quality.residual, [&] { linalg::cqrrt(context_, a.view(), plain_without); });
    if (plan_.kernels.lapack == nullptr) return;
    const Matrix copy(plain_allocator(), {plan_.kernels.device, 0}, {}, DType::f64, m, n),
        tau(plain_allocator(), {plan_.kernels.device, 0}, {}, DType::f64, n, 1);
    std::vector<std::int64_t> pivots(static_cast<std::size_t>(n));
    const double householder = 4 * rows * columns * columns - 4 * columns * columns * columns / 3;
    const LapackKernels& lapack = *plan_.kernels.lapack;
    add("lapack geqrf + orgqr", shape, rows, householder, a, -1, [&] {
      plan_.kernels.cast(a.view(), copy.view(), {});
      lapack.qr(copy.view(), tau.column(0), plain_allocator(), {});
      lapack.form_q(copy.view(), tau.column(0), plain_allocator(), {});
    });
    // GEQP3 of cuSOLVER does not exist: the CUDA table's runs on the host.
    if (plan_.kernels.device != DeviceKind::cpu) return;
    add("lapack geqp3 + orgqr", shape, rows, householder, a, -1, [&] {
      plan_.kernels.cast(a.view(), copy.view(), {});
      lapack.qr_pivoted(copy.view(), tau.column(0), pivots, plain_allocator(), {});
      lapack.form_q(copy.view(), tau.column(0), plain_allocator(), {});
    });
  }

  void square(std::int64_t n) {
    const Matrix a = normal_matrix(plan_.kernels, DType::f64, n, n);
    const double size = static_cast<double>(n);
    add("bqrrp, square", concat(n, "x", n), size, 4 * size * size * size / 3, a, -1, [&] { linalg::bqrrp(context_, a.view()); });
  }

  std::vector<SweepPoint> points;

 private:
  void add(const std::string& name, const std::string& shape, double size, double flops, const Matrix& a, double error,
           const std::function<void()>& body) {
    if (plan_.told) plan_.told(concat("qr: ", name, " ", shape));
    SweepPoint point{"qr", name, size, plan_.figure(name, shape, DType::f64)};
    point.figure.timing = measure::time_runs(body, plan_.timing());
    point.figure.flops = flops;
    point.figure.bytes = 2 * static_cast<double>(a.view().bytes());  // read once, Q or the factors written once
    point.figure.error = error;
    if (plan_.measured) plan_.measured(point);
    points.push_back(point);
  }

  const SweepPlan& plan_;
  linalg::Context context_;
};

}  // namespace

std::vector<SweepPoint> sweep_qr(const SweepPlan& plan) {
  QrSweep sweep(plan);
  for (const std::int64_t rows : plan.quick ? std::vector<std::int64_t>{1024, 4096} : std::vector<std::int64_t>{2048, 8192, 32768, 131072})
    sweep.tall(rows, plan.quick ? 64 : 256);
  for (const std::int64_t n : plan.quick ? std::vector<std::int64_t>{256} : std::vector<std::int64_t>{512, 1024, 2048}) sweep.square(n);
  return sweep.points;
}

}  // namespace panther::bench
