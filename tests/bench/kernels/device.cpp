// The figures that only a GPU can give, beside the device's own limits: bf16 products of cuBLASLt at 8192^3 and a device-to-device copy.
//   bench_device [linear|small|sweep|sign|sparse|hadamard|qr|rsvd|cast ...]      default: all
//   bench_device --only hadamard,sparse,sign,small,rsvd
// One JSON line per figure. Peers of the same libraries (cuBLASLt, cuSOLVER) take turns with ours; PyTorch's are tests/bench/peers/kernels_torch_cuda.py.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>
#include <sstream>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/error.h"
#include "core/exit_code.h"
#include "kernels/cuda/device_memory.h"
#include "kernels/linalg/bqrrp.h"
#include "kernels/linalg/cqrrpt.h"
#include "kernels/linalg/lapack_kernels.h"
#include "kernels/linalg/rsvd.h"
#include "kernels/linear/calibrate.h"
#include "kernels/linear/sketched_linear.h"
#include "kernels/sketch/hadamard_kernels.h"
#include "kernels/sketch/operator.h"
#include "tests/bench/kernels/reusing_allocator.h"
#include "tools/bench/bench_matrix.h"
#include "tools/measure/machine_limits.h"
#include "tools/measure/timing.h"

using namespace panther;

namespace {

const KernelSet& device() { return kernels_for(DeviceKind::cuda); }
constexpr Device kDevice{DeviceKind::cuda, 0};

bench::ReusingAllocator& reusing_allocator() {
  static bench::ReusingAllocator allocator;
  return allocator;
}

measure::TimingPlan plan(double budget = 0.5) {
  return {.warm_ups = 2, .least_runs = 5, .most_runs = 30, .budget_seconds = budget, .device = DeviceKind::cuda};
}

/// Short calls one after the other, as a step makes them: what queueing and waiting cost once is shared by all. Seconds are of one.
constexpr int kRepeats = 20;
std::vector<measure::Timing> time_repeated(const std::vector<std::function<void()>>& bodies, double budget = 0.5) {
  std::vector<std::function<void()>> loops;
  for (const auto& body : bodies) {
    loops.push_back([body] {
      for (int i = 0; i < kRepeats; ++i) body();
    });
  }
  std::vector<measure::Timing> timings = measure::time_in_turns(loops, plan(budget));
  for (measure::Timing& timing : timings) timing.median /= kRepeats, timing.fastest /= kRepeats;
  return timings;
}

/// Device memory with small random signs in it, row-major or by columns.
class Values {
 public:
  Values(DType dtype, std::int64_t rows, std::int64_t columns)
      : memory_(plain_allocator(), static_cast<std::size_t>(rows * columns) * size_of(dtype), kDevice, {}), view(memory_.data(), dtype, {rows, columns}, kDevice) {
    device().sign_expand(SignKey::of(static_cast<std::uint64_t>(rows + columns), "bench"), 0, 0, 0.1, view, {});
  }

 private:
  Workspace memory_;

 public:
  TensorView view;
};

struct Limits {
  double bf16_gflops = 0;
  double copy_gbs = 0;  ///< bytes read and written
};

Limits measure_limits() {
  constexpr std::int64_t kSide = 8192, kBytes = std::int64_t{4} << 30;
  Limits limits;
  {
    const Values a(DType::bf16, kSide, kSide), b(DType::bf16, kSide, kSide), c(DType::bf16, kSide, kSide);
    const Workspace space(plain_allocator(), 64 << 20, kDevice, {});
    const std::span<std::byte> workspace(static_cast<std::byte*>(space.data()), space.bytes());
    const auto timing = measure::time_runs([&] { device().gemm(1, a.view, b.view, 0, c.view, {}, workspace, {}); }, plan(0.3));
    limits.bf16_gflops = 2.0 * kSide * kSide * kSide / timing.median * 1e-9;
  }
  const Workspace from(plain_allocator(), kBytes, kDevice, {}), to(plain_allocator(), kBytes, kDevice, {});
  limits.copy_gbs = 2.0 * kBytes / measure::time_runs([&] { copy_async(to.data(), from.data(), kBytes, {}); }, plan(0.3)).median * 1e-9;
  measure::Figure figure{.name = "limits", .device = "cuda", .shape = "gemm 8192, copy 4 GiB", .dtype = "bf16"};
  figure.numbers = {{"gemm_bf16_gflops", limits.bf16_gflops}, {"copy_gbs", limits.copy_gbs}};
  figure.words = {{"machine", measure::machine_name(DeviceKind::cuda)}};
  measure::print_json(figure);
  return limits;
}

/// One sketched layer and the ordinary one it stands for.
class Layer {
 public:
  Layer(std::int64_t rows, std::int64_t d, std::int64_t r, DType dtype)
      : rows_(rows), d_(d), r_(r), dtype_(dtype), pt_(dtype, 2 * r, d), q_(dtype, 2 * r, d), w_(dtype, d, d), dw_(dtype, d, d), x_(dtype, rows, d), dx_(dtype, rows, d),
        y_(dtype, rows, d), dy_(dtype, rows, d), h_(dtype, rows, 2 * r), dh_(dtype, rows, 2 * r), ds1_(dtype, r, d), ds2_(dtype, r, d),
        space_(plain_allocator(), (std::size_t{64} << 20) + static_cast<std::size_t>(d * d) * 8 + static_cast<std::size_t>(r * d) * 32, kDevice, {}) {}

  LinearChoice choose(const Calibration& calibration, LinearPass pass) const {
    return choose_linear_path(sketched_linear_problem(weights(), rows_, pass), calibration);
  }
  LinearChoice chain(const Calibration& calibration, LinearPass pass) const {
    return predict_linear_path(sketched_linear_problem(weights(), rows_, pass), calibration, LinearPath::chain);
  }
  void forward(const LinearChoice& choice) { sketched_linear_forward(launch(), weights(), {x_.view, h_.view, y_.view, {}, {}}, choice); }
  void step(const LinearChoice& ahead, const LinearChoice& back) {
    forward(ahead);
    const TensorView h2 = h_.view.transposed().slice(r_, r_).transposed();
    sketched_linear_backward(launch(), weights(), {x_.view, h2, dy_.view, dh_.view}, {dx_.view, ds1_.view, ds2_.view, 0.0}, back);
  }
  void dense_forward() { device().gemm(1, x_.view, w_.view.transposed(), 0, y_.view, {}, span(), {}); }
  void dense_step() {
    dense_forward();
    device().gemm(1, dy_.view, w_.view, 0, dx_.view, {}, span(), {});
    device().gemm(1, dy_.view.transposed(), x_.view, 0, dw_.view, {}, span(), {});
  }
  std::string shape() const { return concat(rows_, "x", d_, "x", d_, ", R=", r_); }
  double forward_flops() const { return 8.0 * static_cast<double>(rows_ * d_ * r_); }
  double forward_bytes() const { return static_cast<double>(size_of(dtype_)) * static_cast<double>(2 * rows_ * d_ + 4 * r_ * d_); }

 private:
  SketchedLinearWeights weights() const { return {pt_.view, q_.view, 1 / std::sqrt(static_cast<double>(r_))}; }
  std::span<std::byte> span() { return {static_cast<std::byte*>(space_.data()), space_.bytes()}; }
  LinearLaunch launch() { return {device(), span(), {}}; }

  std::int64_t rows_, d_, r_;
  DType dtype_;
  Values pt_, q_, w_, dw_, x_, dx_, y_, dy_, h_, dh_, ds1_, ds2_;
  Workspace space_;
};

measure::Figure layer_figure(const Layer& layer, const char* name, const measure::Timing& ours, const measure::Timing& dense, const LinearChoice& choice, const Limits& limits) {
  measure::Figure figure{.name = name, .device = "cuda", .shape = layer.shape(), .dtype = "bf16", .timing = ours};
  figure.gemm_gflops = limits.bf16_gflops;
  figure.stream_gbs = limits.copy_gbs;
  figure.numbers = {{"dense_s", dense.median}, {"speedup", dense.median / ours.median}};
  figure.words = {{"path", std::string(linear_path_name(choice.path))}};
  return figure;
}

struct LayerSize {
  std::int64_t rows, d, r;
};

void bench_linear(const Limits& limits, const std::vector<LayerSize>& sizes) {
  const DType dtypes[] = {DType::bf16};
  const Calibration calibration = calibrate(device(), dtypes);
  for (const auto& [rows, d, r] : sizes) {
    Layer layer(rows, d, r, DType::bf16);
    const LinearChoice ahead = layer.choose(calibration, LinearPass::forward), back = layer.choose(calibration, LinearPass::backward);
    const LinearChoice chain = layer.chain(calibration, LinearPass::forward);
    const auto forward = time_repeated({[&] { layer.forward(ahead); }, [&] { layer.dense_forward(); }, [&] { layer.forward(chain); }});
    measure::Figure figure = layer_figure(layer, "linear.forward", forward[0], forward[1], ahead, limits);
    figure.flops = layer.forward_flops();
    figure.bytes = layer.forward_bytes();
    figure.numbers.emplace_back("chain_s", forward[2].median);
    measure::print_json(figure);
    const auto step = time_repeated({[&] { layer.step(ahead, back); }, [&] { layer.dense_step(); }});
    measure::print_json(layer_figure(layer, "linear.step", step[0], step[1], back, limits));
  }
}

/// The smallest dense time over ours, at the model's choice: 0.95 is promised for R <= d / 8.
void bench_sweep(const Limits& limits) {
  const DType dtypes[] = {DType::bf16};
  const Calibration calibration = calibrate(device(), dtypes);
  for (const LinearPass pass : {LinearPass::forward, LinearPass::backward}) {
    double worst = 1e9;
    std::string where;
    for (const std::int64_t d : {512, 1024, 2048, 4096}) {
      for (const std::int64_t rows : {16, 128, 1024, 8192}) {
        for (const std::int64_t r : {d / 64, d / 16, d / 8}) {
          Layer layer(rows, d, r, DType::bf16);
          const LinearChoice ahead = layer.choose(calibration, LinearPass::forward), back = layer.choose(calibration, LinearPass::backward);
          const bool step = pass == LinearPass::backward;
          const auto timings = time_repeated({[&] { step ? layer.step(ahead, back) : layer.forward(ahead); },
                                              [&] { step ? layer.dense_step() : layer.dense_forward(); }}, 0.05);
          const double ratio = timings[1].median / timings[0].median;
          if (ratio < worst) worst = ratio, where = concat(layer.shape(), ", ", linear_path_name(step ? back.path : ahead.path));
        }
      }
    }
    measure::Figure figure{.name = pass == LinearPass::backward ? "linear.step.worst" : "linear.forward.worst", .device = "cuda", .shape = where, .dtype = "bf16"};
    figure.numbers = {{"speedup", worst}};
    figure.gemm_gflops = limits.bf16_gflops;
    measure::print_json(figure);
  }
}

void bench_signs(const Limits& limits) {
  constexpr std::int64_t kTall = 1 << 20, kColumns = 1024, kRows = 256;
  const Values a(DType::bf16, kTall, kColumns), stored(DType::bf16, kRows, kTall), out(DType::bf16, kRows, kColumns);
  const Workspace space(plain_allocator(), 64 << 20, kDevice, {});
  const SketchContext context{device(), reusing_allocator(), {}};
  for (const char* kind : {"rademacher", "gaussian"}) {
    const auto sketch = make_sketch({.kind = kind, .rows = kRows, .columns = kTall, .seed = 7, .name = "bench.s"});
    const auto timings = measure::time_in_turns({[&] { sketch->apply(context, false, {}, 1, a.view, 0, out.view); },
                                                 [&] { device().gemm(1, stored.view, a.view, 0, out.view, {}, {static_cast<std::byte*>(space.data()), space.bytes()}, {}); }},
                                                plan());
    measure::Figure figure{.name = concat("on_the_fly.", kind), .device = "cuda", .shape = "1048576x1024 -> 256", .dtype = "bf16", .timing = timings[0],
                           .flops = 2.0 * kTall * kColumns * kRows, .bytes = 2.0 * kTall * kColumns};
    figure.gemm_gflops = limits.bf16_gflops;
    figure.stream_gbs = limits.copy_gbs;
    figure.numbers = {{"stored_gemm_s", timings[1].median}, {"ratio_to_stored", timings[0].median / timings[1].median}};
    measure::print_json(figure);
  }
}

void bench_sparse(const Limits& limits) {
  constexpr std::int64_t kTall = 1 << 17, kColumns = 1024, kRows = 1280;
  const Values a(DType::f32, kTall, kColumns), out(DType::f32, kRows, kColumns);
  const SketchContext context{device(), reusing_allocator(), {}};
  for (const char* kind : {"count_sketch", "saso", "laso"}) {
    const auto sketch = make_sketch({.kind = kind, .rows = kRows, .columns = kTall, .seed = 7, .name = "bench.s"});
    measure::Figure figure{.name = concat(kind, ".apply"), .device = "cuda", .shape = "131072x1024 -> 1280", .dtype = "f32",
                           .timing = measure::time_runs([&] { sketch->apply(context, false, {}, 1, a.view, 0, out.view); }, plan()),
                           .bytes = 4.0 * kTall * kColumns};
    figure.stream_gbs = limits.copy_gbs;
    measure::print_json(figure);
  }
}

void bench_hadamard(const Limits& limits) {
  for (const std::int64_t size : {std::int64_t{1} << 10, std::int64_t{1} << 15}) {
    const std::int64_t columns = (std::int64_t{1} << 28) / size;
    const Values x(DType::f32, size, columns), y(DType::f32, size, columns);
    const auto bytes = static_cast<std::size_t>(x.view.bytes());
    const auto timings = measure::time_in_turns({[&] { device().hadamard->transform(1.0 / std::sqrt(static_cast<double>(size)), x.view, reusing_allocator(), {}); },
                                                 [&] { copy_async(y.view.data, x.view.data, bytes, {}); }}, plan());
    measure::Figure figure{.name = "hadamard.transform", .device = "cuda", .shape = concat(size, "x", columns), .dtype = "f32", .timing = timings[0],
                           .bytes = 2.0 * static_cast<double>(bytes)};
    figure.stream_gbs = limits.copy_gbs;
    figure.numbers = {{"copy_s", timings[1].median}, {"ratio_to_copy", timings[0].median / timings[1].median}};
    measure::print_json(figure);
  }
}

void bench_qr() {
  const linalg::Context context{.kernels = device(), .allocator = reusing_allocator(), .sum_over_ranks = {}, .seed = 5, .progress = {}};
  constexpr std::int64_t kTall = 1 << 20, kColumns = 512, kSquare = 8192;
  const LapackKernels& lapack = *device().lapack;
  {
    const Matrix a = bench::normal_matrix(device(), DType::f64, kTall, kColumns);
    const Matrix copy(plain_allocator(), kDevice, {}, DType::f64, kTall, kColumns), tau(plain_allocator(), kDevice, {}, DType::f64, kColumns, 1);
    linalg::CqrrptOptions options{.estimate_error = false};
    linalg::CqrrptResult last = linalg::cqrrpt(context, a.view(), options);
    const auto timings = measure::time_in_turns({[&] { last = linalg::cqrrpt(context, a.view(), options); },
                                                 [&] {
                                                   device().cast(a.view(), copy.view(), {});
                                                   lapack.qr(copy.view(), tau.column(0), reusing_allocator(), {});
                                                   lapack.form_q(copy.view(), tau.column(0), reusing_allocator(), {});
                                                 }}, plan(2.0));
    measure::Figure figure{.name = "cqrrpt", .device = "cuda", .shape = concat(kTall, "x", kColumns), .dtype = "f64", .timing = timings[0],
                           .flops = 3.0 * kTall * kColumns * kColumns};
    figure.numbers = {{"geqrf_orgqr_s", timings[1].median}, {"ratio", timings[1].median / timings[0].median}};
    for (const linalg::StageTime& stage : last.stages) figure.numbers.emplace_back("s_" + stage.name, stage.seconds);
    measure::print_json(figure);
  }
  const Matrix a = bench::normal_matrix(device(), DType::f64, kSquare, kSquare);
  const Matrix copy(plain_allocator(), kDevice, {}, DType::f64, kSquare, kSquare), tau(plain_allocator(), kDevice, {}, DType::f64, kSquare, 1);
  linalg::BqrrpReport last;
  const auto timings = measure::time_in_turns({[&] { last = linalg::bqrrp(context, a.view()).report; },
                                               [&] {
                                                 device().cast(a.view(), copy.view(), {});
                                                 lapack.qr(copy.view(), tau.column(0), reusing_allocator(), {});
                                               }}, {.warm_ups = 1, .least_runs = 2, .most_runs = 5, .budget_seconds = 2, .device = DeviceKind::cuda});
  measure::Figure figure{.name = "bqrrp", .device = "cuda", .shape = "8192x8192", .dtype = "f64", .timing = timings[0], .flops = 4.0 / 3 * kSquare * kSquare * kSquare};
  figure.numbers = {{"geqrf_s", timings[1].median}, {"ratio_to_unpivoted", timings[1].median / timings[0].median}};
  for (const linalg::StageTime& stage : last.stages) figure.numbers.emplace_back("s_" + stage.name, stage.seconds);
  measure::print_json(figure);
}

void bench_svd() {
  constexpr std::int64_t kSide = 16384;
  const linalg::Context context{.kernels = device(), .allocator = reusing_allocator(), .sum_over_ranks = {}, .seed = 5, .progress = {}};
  const Matrix a = bench::falling_matrix(device(), DType::f32, kSide);
  for (const auto& [name, range] : {std::pair{"rsvd.power", linalg::RangeFinder::power}, {"rsvd.krylov", linalg::RangeFinder::krylov}}) {
    linalg::RsvdOptions options;
    options.rank = 128;
    options.range = range;
    linalg::SvdResult found = linalg::rsvd(context, a.view(), options);
    measure::Figure figure{.name = name, .device = "cuda", .shape = "16384x16384, k=128", .dtype = "f32",
                           .timing = measure::time_runs([&] { found = linalg::rsvd(context, a.view(), options); }, plan(1.0)),
                           .flops = 2.0 * kSide * kSide * 138 * found.passes};
    figure.error = found.relative_error;
    figure.numbers = {{"passes", static_cast<double>(found.passes)}};
    measure::print_json(figure);
  }
}

/// What the exchange's codec `half` does to a bucket.
void bench_cast(const Limits& limits) {
  constexpr std::int64_t kCount = std::int64_t{1} << 28;
  const Values from(DType::f32, kCount / 1024, 1024), to(DType::bf16, kCount / 1024, 1024);
  measure::Figure figure{.name = "cast.f32_to_bf16", .device = "cuda", .shape = "268435456", .dtype = "f32",
                         .timing = measure::time_runs([&] { device().cast(from.view, to.view, {}); }, plan()), .bytes = 6.0 * kCount};
  figure.stream_gbs = limits.copy_gbs;
  measure::print_json(figure);
}

}  // namespace

int main(int argc, char** argv) {
  try {
    std::vector<std::string> wanted;
    for (const std::string_view argument : std::span(argv + 1, static_cast<std::size_t>(argc - 1))) {
      if (argument == "--only") continue;
      std::istringstream names{std::string(argument)};
      for (std::string name; std::getline(names, name, ',');) wanted.push_back(name);
    }
    const auto chosen = [&](const char* name) { return wanted.empty() || std::find(wanted.begin(), wanted.end(), name) != wanted.end(); };
    const Limits limits = measure_limits();
    if (chosen("hadamard")) bench_hadamard(limits);
    if (chosen("sparse")) bench_sparse(limits);
    if (chosen("sign")) bench_signs(limits);
    if (chosen("small")) bench_linear(limits, {{16, 8192, 64}});
    if (chosen("linear")) bench_linear(limits, {{8192, 8192, 256}, {8192, 4096, 64}, {16384, 1024, 64}, {8192, 4096, 128}});
    if (chosen("cast")) bench_cast(limits);
    if (chosen("rsvd")) bench_svd();
    if (chosen("qr")) bench_qr();
    if (chosen("sweep")) bench_sweep(limits);
    return 0;
  } catch (const Error& error) {
    std::fprintf(stderr, "error: %s\n", error.message().c_str());
    return exit_code_for(error.code());
  }
}
