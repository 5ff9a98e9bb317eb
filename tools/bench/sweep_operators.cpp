#include <cmath>

#include "core/error.h"
#include "kernels/matrix.h"
#include "kernels/sketch/operator.h"
#include "tools/bench/sweep.h"
#include "tools/linalg/work.h"

namespace panther::bench {
namespace {

constexpr std::int64_t kColumns = 256, kSketchRows = 512;

/// Root mean square over columns of ||S a||^2 / ||a||^2 - 1; sqrt(2 / k) is what theory says of independent entries.
double distortion(const KernelSet& kernels, const Matrix& a, const Matrix& sketched, double scale) {
  double sum = 0;
  const Device device{kernels.device, 0};
  const Matrix squares(plain_allocator(), device, {}, DType::f64, 2, 1);
  for (std::int64_t j = 0; j < a.columns(); ++j) {
    const TensorView before = a.column(j), after = sketched.column(j);
    TensorView first = squares.view().flattened().slice(0, 1), second = squares.view().flattened().slice(1, 1);
    kernels.sum_of_squares(std::span(&before, 1), first, {});
    kernels.sum_of_squares(std::span(&after, 1), second, {});
    const std::vector<double> values = tools::to_doubles(squares.column(0));
    sum += std::pow(scale * scale * values[1] / values[0] - 1, 2);
  }
  return std::sqrt(sum / static_cast<double>(a.columns()));
}

/// Operators that are slow on tall matrices by construction: Haar keeps a k x k factor and draws k x n normals.
bool worth_it(const std::string& kind, std::int64_t rows) { return kind != "row_sampling" && (kind != "haar" || rows <= 8192); }

}  // namespace

std::vector<SweepPoint> sweep_operators(const SweepPlan& plan) {
  std::vector<SweepPoint> points;
  const Device device{plan.kernels.device, 0};
  const SketchContext context{plan.kernels, plain_allocator(), {}};
  for (const std::int64_t rows :
       plan.quick ? std::vector<std::int64_t>{1024, 4096} : std::vector<std::int64_t>{2048, 8192, 32768, 131072}) {
    const Matrix a(plain_allocator(), device, {}, DType::f32, rows, kColumns),
        out(plain_allocator(), device, {}, DType::f32, kSketchRows, kColumns);
    make_sketch({.kind = "gaussian", .rows = rows, .columns = kColumns, .seed = 1, .name = "bench.a"})
        ->materialize(context, {}, 1, a.view());
    const std::string shape = concat(rows, "x", kColumns, " -> ", kSketchRows);
    const auto add = [&](const std::string& kind, double flops, const std::function<void()>& body, double error) {
      if (plan.told) plan.told(concat("operators: ", kind, " ", shape));
      SweepPoint point{"operators", kind, static_cast<double>(rows), plan.figure(kind + ".apply", shape, DType::f32)};
      point.figure.timing = measure::time_runs(body, plan.timing());
      point.figure.flops = flops;
      point.figure.bytes = 4.0 * static_cast<double>(rows * kColumns + kSketchRows * kColumns);
      point.figure.error = error;
      if (plan.measured) plan.measured(point);
      points.push_back(point);
    };
    for (const std::string& kind : sketch_operators().names()) {
      if (!worth_it(kind, rows)) continue;
      const auto sketch = make_sketch({.kind = kind, .rows = kSketchRows, .columns = rows, .seed = 7, .name = "bench.s"});
      const auto apply = [&] { sketch->apply(context, false, {}, 1, a.view(), 0, out.view()); };
      apply();
      add(kind, sketch->cost({}, kColumns).flops, apply, distortion(plan.kernels, a, out, sketch->isometry_scale()));
    }
    const Matrix stored(plain_allocator(), device, {}, DType::f32, kSketchRows, rows);
    make_sketch({.kind = "rademacher", .rows = kSketchRows, .columns = rows, .seed = 7, .name = "bench.s"})
        ->materialize(context, {}, 1, stored.view());
    add(
        "gemm, S stored", 2.0 * static_cast<double>(kSketchRows * rows) * kColumns,
        [&] { plan.kernels.gemm(1, stored.view(), a.view(), 0, out.view(), {}, {}, {}); }, -1);
  }
  return points;
}

}  // namespace panther::bench
