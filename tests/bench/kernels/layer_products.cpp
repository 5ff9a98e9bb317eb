// The twelve f32 products of a transformer layer's dense layers (forward, dX, dW of qkv, proj, fc1, fc2), our forms and OpenBLAS taking turns:
//   bench_layer_products [threads, default 1] [width, default 256] [rows, default 1024]
// One JSON line per product, gflops by form, and one for all twelve. layer_products_torch.py lets torch.mm take turns with it.
#include <cstdlib>
#include <string>
#include <vector>

#include "kernels/cpu/blas.h"
#include "kernels/cpu/tile_kernels.h"
#include "kernels/kernel_set.h"
#include "tools/measure/timing.h"

using namespace panther;

namespace {

struct Side {
  std::string name;
  const cpu::TileKernels* kernels = nullptr;  ///< nullptr: OpenBLAS
};

std::vector<Side> sides() {
  std::vector<Side> result;
  for (const cpu::TileKernels* kernels : {cpu::tile_kernels_avx2(), cpu::tile_kernels_avx512()}) {
    if (kernels != nullptr) result.push_back({kernels->name, kernels});
  }
  result.push_back({"blas", nullptr});
  return result;
}

struct Memory {
  explicit Memory(std::int64_t count) : floats(static_cast<std::size_t>(count)) {
    std::uint32_t state = 1;
    for (float& value : floats) value = static_cast<float>((state = state * 1664525u + 1013904223u) >> 8) * 0x1p-24f - 0.5f;
  }
  TensorView view(std::int64_t rows, std::int64_t columns) { return TensorView(floats.data(), DType::f32, {rows, columns}); }
  std::vector<float> floats;
};

void multiply(const Side& side, const TensorView& a, const TensorView& b, const TensorView& c) {
  if (side.kernels == nullptr) {
    if (!cpu::blas_gemm(1, a, b, 0, c, {})) cpu_kernels().gemm(1, a, b, 0, c, {}, {}, {});
    return;
  }
  cpu::force_tile_kernels(side.kernels);
  if (!cpu::tile_gemm(1, a, b, 0, c, {})) cpu_kernels().gemm(1, a, b, 0, c, {}, {}, {});
  cpu::force_tile_kernels(nullptr);
}

void report(const std::string& name, const std::string& shape, double flops, const std::vector<Side>& all, const std::vector<double>& seconds) {
  measure::Figure figure{.name = name, .shape = shape, .dtype = "f32"};
  for (std::size_t i = 0; i < all.size(); ++i) {
    figure.numbers.emplace_back(all[i].name + "_gflops", flops / seconds[i] * 1e-9);
    figure.numbers.emplace_back(all[i].name + "_s", seconds[i]);
  }
  measure::print_json(figure);
}

}  // namespace

int main(int argc, char** argv) {
  const auto argument = [&](int i, std::int64_t other) { return argc > i ? std::atoll(argv[i]) : other; };
  measure::set_threads(static_cast<int>(argument(1, 1)));
  const std::int64_t width = argument(2, 256), rows = argument(3, 1024);
  const std::vector<Side> all = sides();
  std::vector<double> total(all.size());
  double total_flops = 0;
  const struct {
    const char* name;
    std::int64_t in, out;
  } layers[] = {{"qkv", width, 3 * width}, {"proj", width, width}, {"fc1", width, 4 * width}, {"fc2", 4 * width, width}};
  for (const auto& layer : layers) {
    Memory x(rows * layer.in), w(layer.out * layer.in), y(rows * layer.out), dx(rows * layer.in), dw(layer.out * layer.in);
    const TensorView x_v = x.view(rows, layer.in), w_v = w.view(layer.out, layer.in), y_v = y.view(rows, layer.out);
    const struct {
      const char* name;
      TensorView a, b, c;
    } products[] = {{"forward", x_v, w_v.transposed(), y_v}, {"dx", y_v, w_v, dx.view(rows, layer.in)}, {"dw", y_v.transposed(), x_v, dw.view(layer.out, layer.in)}};
    for (const auto& product : products) {
      std::vector<std::function<void()>> bodies;
      for (const Side& side : all) bodies.push_back([&] { multiply(side, product.a, product.b, product.c); });
      const std::vector<measure::Timing> timings = measure::time_in_turns(bodies, {.least_runs = 9, .most_runs = 200, .budget_seconds = 0.3});
      const double flops = 2.0 * static_cast<double>(rows * layer.in * layer.out);
      std::vector<double> seconds;
      for (std::size_t i = 0; i < all.size(); ++i) total[i] += seconds.emplace_back(timings[i].median);
      total_flops += flops;
      report(std::string(layer.name) + "." + product.name, std::to_string(rows) + "x" + std::to_string(layer.in) + "->" + std::to_string(layer.out), flops, all, seconds);
    }
  }
  report("layer", "12 products, width " + std::to_string(width), total_flops, all, total);
}
