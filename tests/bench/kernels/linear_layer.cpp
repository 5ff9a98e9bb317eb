// The sketched linear layer against an ordinary one of the same kernel set, in turns; and the cost model's choice against every path.
//   bench_linear [threads] [B,D,O,R ...]
//   bench_linear THREADS sweep [default]   square layers of width 256 to 4096, 1 to 4096 rows, R up to d / 8: the dense layer's speed is the bound there;
//                                          default: with the rates of whoever has not measured
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "kernels/linear/cached_weight.h"
#include "kernels/linear/calibrate.h"
#include "tools/measure/timing.h"

using namespace panther;

namespace {

struct Shape {
  std::int64_t rows, inputs, outputs, size;
  std::string text() const {
    return std::to_string(rows) + "x" + std::to_string(inputs) + "x" + std::to_string(outputs) + " R=" + std::to_string(size);
  }
};

/// f32 matrices with small numbers, of one shape.
class Layer {
 public:
  explicit Layer(const Shape& s)
      : shape_(s), pt(matrix(2 * s.size, s.inputs)), q(matrix(2 * s.size, s.outputs)), dense(matrix(s.outputs, s.inputs)), ddense(matrix(s.outputs, s.inputs)),
        x(matrix(s.rows, s.inputs)), dx(matrix(s.rows, s.inputs)), y(matrix(s.rows, s.outputs)), dy(matrix(s.rows, s.outputs)), h(matrix(s.rows, 2 * s.size)),
        dh(matrix(s.rows, 2 * s.size)), ds1(matrix(s.size, s.inputs)), ds2(matrix(s.size, s.outputs)), bias(matrix(1, s.outputs)) {
    bias.dims = 1;
    bias.shape[0] = s.outputs;
    bias.strides[0] = 1;
    space_.resize(static_cast<std::size_t>(s.inputs * s.outputs) * 8 + 65536 + static_cast<std::size_t>(s.size * (s.inputs + s.outputs)) * 16);
  }

  SketchedLinearWeights weights() const { return {pt, q, 1 / std::sqrt(static_cast<double>(shape_.size))}; }
  LinearLaunch launch() { return {cpu_kernels(), space_, {}}; }

  void dense_forward() { cpu_kernels().gemm(1.0, x, dense.transposed(), 0.0, y, bias, {}, {}); }
  void dense_step() {
    dense_forward();
    cpu_kernels().gemm(1.0, dy, dense, 0.0, dx, {}, {}, {});
    cpu_kernels().gemm(1.0, dy.transposed(), x, 0.0, ddense, {}, {}, {});
  }
  void forward(const LinearChoice& choice, bool cached = false) {
    sketched_linear_forward(launch(), weights(), {x, h, y, {bias, Activation::none, {}}, cached ? dense.transposed() : TensorView{}}, choice);
  }
  void backward(const LinearChoice& choice) {
    const TensorView h2 = h.transposed().slice(shape_.size, shape_.size).transposed();
    sketched_linear_backward(launch(), weights(), {x, h2, dy, dh}, {dx, ds1, ds2, 0.0}, choice);
  }

 private:
  TensorView matrix(std::int64_t rows, std::int64_t columns) {
    memory_.emplace_back(static_cast<std::size_t>(rows * columns));
    const TensorView view(memory_.back().data(), DType::f32, {rows, columns});
    cpu_kernels().sign_expand(SignKey::of(memory_.size(), "bench"), 0, 0, 0.1, view, {});
    return view;
  }

  Shape shape_;
  std::vector<std::vector<float>> memory_;
  std::vector<std::byte> space_;

 public:
  TensorView pt, q, dense, ddense, x, dx, y, dy, h, dh, ds1, ds2, bias;
};

LinearProblem problem_of(const Shape& s, LinearPass pass, bool cached = false) {
  LinearProblem p{s.rows, s.inputs, s.outputs, s.size};
  p.pass = pass;
  p.dense_cached = cached;
  return p;
}

/// Every way the layer could go, the chosen one first.
std::vector<LinearChoice> ways(const LinearProblem& p, const Calibration& c) {
  std::vector<LinearChoice> all{choose_linear_path(p, c)};
  for (const bool own : {false, true}) {
    LinearChoice chain;
    chain.own = {own, own, own, own};
    all.push_back(chain);
  }
  all.push_back(predict_linear_path(p, c, LinearPath::dense));
  return all;
}

double g_budget_seconds = 1.5;

measure::TimingPlan plan() { return {.warm_ups = 1, .least_runs = 5, .most_runs = 41, .budget_seconds = g_budget_seconds}; }

void report(const std::string& name, const Shape& s, const std::vector<measure::Timing>& times, const LinearChoice& choice, double flops, double flop_ratio) {
  double best = times[1].median;
  for (std::size_t i = 1; i < times.size(); ++i) best = std::min(best, times[i].median);
  const double ratio = times[0].median / times[1].median;
  measure::Figure figure{.name = name, .shape = s.text(), .dtype = "f32", .timing = times[1], .flops = flops};
  figure.numbers = {{"dense_s", times[0].median}, {"ratio", ratio}, {"flop_ratio", flop_ratio}, {"of_flop_ratio", ratio / flop_ratio},
                    {"predicted_s", choice.seconds}, {"regret", times[1].median / best - 1}, {"library_s", times[2].median}, {"own_s", times[3].median}};
  figure.words = {{"path", std::string(linear_path_name(choice.path))}, {"own", std::string{choice.own[0] ? '1' : '0', choice.own[1] ? '1' : '0', choice.own[2] ? '1' : '0', choice.own[3] ? '1' : '0'}}};
  measure::print_json(figure);
}

void run(const Shape& s, const Calibration& c) {
  Layer layer(s);
  const double b = static_cast<double>(s.rows), d = static_cast<double>(s.inputs), o = static_cast<double>(s.outputs), r = static_cast<double>(s.size);
  const auto forward = ways(problem_of(s, LinearPass::forward), c);
  std::vector<std::function<void()>> bodies{[&] { layer.dense_forward(); }};
  for (std::size_t i = 0; i < 3; ++i) bodies.emplace_back([&, i] { layer.forward(forward[i]); });
  report("linear.forward", s, measure::time_in_turns(bodies, plan()), forward[0], 4 * b * r * (d + o), d * o / (2 * r * (d + o)));

  const auto inference = ways(problem_of(s, LinearPass::inference, true), c);
  bodies = {[&] { layer.dense_forward(); }};
  for (std::size_t i = 0; i < 4; ++i) bodies.emplace_back([&, i] { layer.forward(inference[i], true); });
  report("linear.inference_cached", s, measure::time_in_turns(bodies, plan()), inference[0], 4 * b * r * (d + o), d * o / (2 * r * (d + o)));

  const auto backward = ways(problem_of(s, LinearPass::backward), c);
  bodies = {[&] { layer.dense_step(); }};
  for (std::size_t i = 0; i < 3; ++i) {
    bodies.emplace_back([&, i] {
      layer.forward(forward[i]);
      layer.backward(backward[i]);
    });
  }
  report("linear.step", s, measure::time_in_turns(bodies, plan()), backward[0], 10 * b * r * (d + o), 0.6 * d * o / (r * (d + o)));
}

std::vector<Shape> usual_shapes() {
  std::vector<Shape> shapes;
  for (const std::int64_t rows : {1, 16, 256, 2048}) {
    for (const std::int64_t width : {256, 1024, 4096}) {
      for (const std::int64_t size : {16, 64, 128, 512}) {
        if (size <= width / 8 && rows * width <= (1 << 20)) shapes.push_back({rows, width, width, size});
      }
    }
  }
  return shapes;
}

std::vector<Shape> swept_shapes() {
  std::vector<Shape> shapes;
  for (const std::int64_t width : {256, 512, 1024, 2048, 4096}) {
    for (const std::int64_t rows : {1, 4, 16, 64, 256, 1024, 4096}) {
      for (const std::int64_t part : {64, 16, 8}) {
        if (width / part >= 8 && rows * width <= (1 << 21)) shapes.push_back({rows, width, width, width / part});
      }
    }
  }
  return shapes;
}

Calibration measured_calibration() {
  const DType dtypes[] = {DType::f32};
  const double begin = measure::now_seconds();
  const Calibration c = calibrate(cpu_kernels(), dtypes);
  measure::Figure figure{.name = "linear.calibration", .shape = "", .dtype = "f32"};
  figure.numbers = {{"seconds", measure::now_seconds() - begin}, {"memory_gbs", c.memory_bytes_per_second * 1e-9}, {"cache_gbs", c.cache_bytes_per_second * 1e-9},
                    {"launch_us", c.launch_seconds * 1e6}, {"signs_per_second", c.signs_per_second}};
  for (std::size_t i = 0; i < ProductRate::kWidths.size(); ++i) {
    figure.numbers.emplace_back("library_gflops_" + std::to_string(static_cast<int>(ProductRate::kWidths[i])), c.library[1].flops[i] * 1e-9);
    figure.numbers.emplace_back("own_gflops_" + std::to_string(static_cast<int>(ProductRate::kWidths[i])), c.own[1].flops[i] * 1e-9);
  }
  measure::print_json(figure);
  return c;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc > 1) measure::set_threads(std::atoi(argv[1]));
  std::vector<Shape> shapes;
  const bool sweep = argc >= 3 && std::string(argv[2]) == "sweep", assumed = sweep && argc == 4 && std::string(argv[3]) == "default";
  for (int i = 2; i < argc && !sweep; ++i) {
    Shape s{};
    if (std::sscanf(argv[i], "%ld,%ld,%ld,%ld", &s.rows, &s.inputs, &s.outputs, &s.size) != 4) {
      std::fprintf(stderr, "bench_linear: '%s' is not B,D,O,R\n", argv[i]);
      return 64;
    }
    shapes.push_back(s);
  }
  if (sweep) g_budget_seconds = 0.1;
  if (shapes.empty()) shapes = sweep ? swept_shapes() : usual_shapes();
  const Calibration calibration = assumed ? default_calibration(DeviceKind::cpu) : measured_calibration();
  for (const Shape& shape : shapes) run(shape, calibration);
}
