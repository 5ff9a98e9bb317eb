#include <algorithm>

#include "core/error.h"
#include "kernels/linear/sketched_linear.h"
#include "kernels/matrix.h"
#include "tools/bench/sweep.h"

namespace panther::bench {
namespace {

constexpr std::int64_t kBatch = 256;

/// Row-major, of random signs times 0.1: any values do, but not zeros.
class Rows {
 public:
  Rows(const KernelSet& kernels, std::int64_t rows, std::int64_t columns, const char* name)
      : memory_(plain_allocator(), static_cast<std::size_t>(rows * columns) * 4, {kernels.device, 0}, {}),
        view_(memory_.data(), DType::f32, {rows, columns}, {kernels.device, 0}) {
    kernels.sign_expand(SignKey::of(3, name), 0, 0, 0.1, view_, {});
  }
  const TensorView& view() const { return view_; }

 private:
  Workspace memory_;
  TensorView view_;
};

}  // namespace

std::vector<SweepPoint> sweep_linear(const SweepPlan& plan) {
  std::vector<SweepPoint> points;
  const KernelSet& kernels = plan.kernels;
  for (const std::int64_t d : plan.quick ? std::vector<std::int64_t>{256, 512} : std::vector<std::int64_t>{512, 1024, 2048, 4096}) {
    const std::int64_t r = std::max<std::int64_t>(16, d / 64);
    const Rows x(kernels, kBatch, d, "x"), y(kernels, kBatch, d, "y"), w(kernels, d, d, "w"), pt(kernels, 2 * r, d, "pt"),
        q(kernels, 2 * r, d, "q"), h(kernels, kBatch, 2 * r, "h");
    const SketchedLinearWeights weights{pt.view(), q.view(), 0.1};
    expand_sketched_linear_signs(kernels, 3, "bench.layer", weights, {});
    const std::string shape = concat(kBatch, "x", d, "x", d, ", R=", r);
    if (plan.told) plan.told(concat("linear: ", shape));
    const auto timings =
        measure::time_in_turns({[&] { sketched_linear_forward(kernels, weights, x.view(), {}, h.view(), y.view(), {}, {}); },
                                [&] { kernels.gemm(1, x.view(), w.view(), 0, y.view(), {}, {}, {}); }},
                               plan.timing());
    const double size = static_cast<double>(d), batch = static_cast<double>(kBatch), sketch = static_cast<double>(r);
    const double flops[] = {4 * batch * sketch * 2 * size, 2 * batch * size * size};
    const double bytes[] = {4 * (2 * batch * size + 4 * sketch * size), 4 * (2 * batch * size + size * size)};
    const char* names[] = {"sketched forward", "dense forward"};
    for (std::size_t i = 0; i < 2; ++i) {
      SweepPoint point{"linear", names[i], size,
                       plan.figure(i == 0 ? "linear.sketched.forward" : "linear.dense.forward", shape, DType::f32)};
      point.figure.timing = timings[i];
      point.figure.flops = flops[i];
      point.figure.bytes = bytes[i];
      if (i == 0)
        point.figure.numbers = {
            {"dense_s", timings[1].median}, {"speedup", timings[1].median / timings[0].median}, {"flop_ratio", flops[1] / flops[0]}};
      if (plan.measured) plan.measured(point);
      points.push_back(point);
    }
  }
  return points;
}

}  // namespace panther::bench
