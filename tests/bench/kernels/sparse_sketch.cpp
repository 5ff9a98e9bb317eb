// Sparse and Hadamard sketches of a tall matrix beside the product with a stored dense S of equal size, and beside what memory gives:
//   bench_sparse_sketch [saso|srht|gather|lift|all] [f64|f32|all] [threads, default 1 and 2] [pages: small|huge]
// A is 131072 x 1024 (saso, to 1280) or 131072 x 256 (srht, to 2048), row- and column-major. numpy asks for huge pages, malloc does not: both.
#include <sys/mman.h>

#include <cstdlib>
#include <cstring>
#include <string_view>

#include "kernels/sketch/operator.h"
#include "tools/measure/machine_limits.h"
#include "tools/measure/timing.h"

using namespace panther;

namespace {

constexpr std::int64_t kRows = 131072;

/// Memory of its own pages, filled with values that are neither equal nor special.
class Pages {
 public:
  Pages(DType dtype, std::int64_t rows, std::int64_t columns, bool by_columns, bool huge) {
    view = TensorView(nullptr, dtype, {rows, columns});
    if (by_columns) view.strides = {1, rows};
    bytes_ = static_cast<std::size_t>(view.bytes());
    view.data = mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (view.data == MAP_FAILED) std::abort();
    madvise(view.data, bytes_, huge ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
    const std::int64_t count = view.numel();
    for (std::int64_t i = 0; i < count; ++i) {
      const double value = static_cast<double>(static_cast<std::int64_t>(mix64(1, static_cast<std::uint64_t>(i)) >> 44) - (1 << 19)) * 0x1p-19;
      if (dtype == DType::f64) view.as<double>()[i] = value;
      else view.as<float>()[i] = static_cast<float>(value);
    }
  }
  ~Pages() { munmap(view.data, bytes_); }
  Pages(const Pages&) = delete;
  Pages& operator=(const Pages&) = delete;
  TensorView view;

 private:
  std::size_t bytes_;
};

struct Setting {
  SketchSpec spec;
  std::int64_t columns;
  bool transpose;
  double gemm_seconds = 0;  ///< of the dense product, 0: not measured
};

const char* dtype_text(DType dtype) { return dtype == DType::f64 ? "f64" : "f32"; }

/// Once: it takes seconds.
double time_dense(const Setting& s, DType dtype) {
  const Pages dense(dtype, s.spec.rows, kRows, true, true), a(dtype, kRows, s.columns, true, true), out(dtype, s.spec.rows, s.columns, true, true);
  const auto run = [&] { cpu_kernels().gemm(1.0, dense.view, a.view, 0.0, out.view, {}, {}, {}); };
  return measure::time_runs(run, {.warm_ups = 0, .least_runs = 1, .most_runs = 1}).median;
}

void report(const Setting& s, DType dtype, bool by_columns, bool huge, const measure::MachineLimits& limits) {
  const auto sketch = make_sketch(s.spec);
  const Pages tall(dtype, kRows, s.columns, by_columns, huge), small(dtype, s.spec.rows, s.columns, by_columns, huge);
  const TensorView& a = s.transpose ? small.view : tall.view;
  const TensorView& out = s.transpose ? tall.view : small.view;
  const auto run = [&] { sketch->apply({}, s.transpose, {}, 1.0, a, 0.0, out); };
  measure::Figure figure{.name = s.spec.kind + (s.transpose ? ".apply_transposed" : ".apply"), .dtype = dtype_text(dtype)};
  figure.shape = std::to_string(kRows) + "x" + std::to_string(s.columns) + "->" + std::to_string(s.spec.rows);
  figure.timing = measure::time_runs(run, {.warm_ups = 1, .least_runs = 5, .most_runs = 20, .budget_seconds = 1.5});
  figure.flops = sketch->cost({}, s.columns).flops;
  figure.bytes = static_cast<double>(tall.view.bytes() + small.view.bytes());
  figure.stream_gbs = limits.read_gbs;
  figure.numbers = {{"triad_gbs", limits.triad_gbs}, {"read_gbs", limits.read_gbs}};
  if (s.gemm_seconds > 0) {
    figure.numbers.emplace_back("dense_gemm_s", s.gemm_seconds);
    figure.numbers.emplace_back("times_gemm", s.gemm_seconds / figure.timing.median);
  }
  figure.words = {{"layout", by_columns ? "columns" : "rows"}, {"pages", huge ? "huge" : "small"}};
  measure::print_json(figure);
}

}  // namespace

int main(int argc, char** argv) {
  const auto argument = [&](int i, std::string_view other) { return argc > i ? std::string_view(argv[i]) : other; };
  const std::string_view what = argument(1, "all"), type = argument(2, "all"), pages = argument(4, "all");
  const auto wants = [&](std::string_view name) { return what == "all" || what == name; };
  for (const int threads : {1, 2}) {
    if (argc > 3 && std::atoi(argv[3]) != 0 && std::atoi(argv[3]) != threads) continue;
    measure::set_threads(threads);
    const measure::MachineLimits limits = measure::measure_limits(cpu_kernels(), 512);
    for (const DType dtype : {DType::f64, DType::f32}) {
      if (type != "all" && type != dtype_text(dtype)) continue;
      SketchSpec saso{.kind = "saso", .rows = 1280, .columns = kRows}, srht{.kind = "srht", .rows = 2048, .columns = kRows};
      const bool peers = std::getenv("PANTHER_BENCH_PEERS") != nullptr;
      Setting settings[] = {{saso, 1024, false}, {srht, 256, false}, {saso, 1024, true}, {srht, 256, true}};
      constexpr std::string_view names[] = {"saso", "srht", "gather", "lift"};
      for (int i = 0; i < 4; ++i) {
        if (!wants(names[i])) continue;
        if (peers && !settings[i].transpose) settings[i].gemm_seconds = time_dense(settings[i], dtype);
        for (const bool huge : {false, true}) {
          if (pages != "all" && pages != (huge ? "huge" : "small")) continue;
          for (const bool by_columns : {false, true}) report(settings[i], dtype, by_columns, huge, limits);
        }
      }
    }
  }
}
