// Dense sketches on the fly against the same product with S stored: out_BK = x_BN S^T for k = 64, 256, 1024 with one thread and with all.
// The peer is KernelSet::gemm over a materialised S (OpenBLAS; generating S is not in its time).
#include <cmath>
#include <memory>
#include <vector>

#include "core/text.h"
#include "kernels/sketch/operator.h"
#include "tools/measure/machine_limits.h"
#include "tools/measure/timing.h"

using namespace panther;

namespace {

constexpr std::int64_t kRows = 8192, kColumns = 4096;

struct Memory {
  Workspace block;
  TensorView view;
  Memory(DType dtype, std::int64_t rows, std::int64_t columns)
      : block(plain_allocator(), static_cast<std::size_t>(rows * columns) * size_of(dtype), {}, {}), view(block.data(), dtype, {rows, columns}) {}
};

void fill(const TensorView& view) {
  const auto sketch = make_sketch({.kind = "uniform", .rows = view.shape[0], .columns = view.shape[1], .seed = 1, .name = "bench.data"});
  sketch->materialize({}, {}, 1.0, view);
}

double largest_difference(const TensorView& a, const TensorView& b) {
  double largest = 0;
  for (std::int64_t i = 0; i < a.numel(); i += 97) {
    const double d = a.dtype == DType::f64 ? a.as<double>()[i] - b.as<double>()[i] : static_cast<double>(a.as<float>()[i]) - b.as<float>()[i];
    largest = std::max(largest, std::abs(d));
  }
  return largest;
}

void bench(DType dtype, const std::string& kind, std::int64_t k, const measure::MachineLimits& limits) {
  Memory a(dtype, kRows, kColumns), s(dtype, k, kColumns), ours(dtype, kRows, k), peer(dtype, kRows, k);
  fill(a.view);
  const auto sketch = make_sketch({.kind = kind, .rows = k, .columns = kColumns, .seed = 3});
  sketch->materialize({}, {}, 1.0, s.view);
  const auto timings = measure::time_in_turns(
      {[&] { apply_right(*sketch, {}, true, 1.0, a.view, 0.0, ours.view); },
       [&] { cpu_kernels().gemm(1.0, a.view, s.view.transposed(), 0.0, peer.view, {}, {}, {}); }},
      {.warm_ups = 1, .least_runs = 3, .most_runs = 7, .budget_seconds = 1.2});
  measure::Figure figure{.name = concat("dense_sketch.", kind), .shape = concat(kRows, "x", kColumns, " -> ", k), .dtype = std::string(dtype_name(dtype))};
  figure.timing = timings[0];
  figure.flops = 2.0 * kRows * kColumns * static_cast<double>(k);
  figure.gemm_gflops = limits.gemm_gflops(dtype);
  figure.error = largest_difference(ours.view, peer.view);
  figure.numbers = {{"stored_gemm_s", timings[1].median}, {"ratio_to_stored", timings[0].median / timings[1].median}};
  measure::print_json(figure);
}

}  // namespace

int main() {
  const int all = measure::threads();
  for (const int threads : {1, all}) {
    measure::set_threads(threads);
    const measure::MachineLimits limits = measure::measure_limits(cpu_kernels());
    for (const DType dtype : {DType::f32, DType::f64}) {
      for (const std::int64_t k : {64, 256, 1024}) {
        for (const char* kind : {"rademacher", "gaussian"}) {
          if (k == 1024 && (dtype == DType::f64 || std::string(kind) == "gaussian")) continue;  // too long for a shared machine
          bench(dtype, kind, k, limits);
        }
      }
    }
  }
}
