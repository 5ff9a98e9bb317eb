#include "kernels/linear/cost_model.h"

#include <algorithm>
#include <cmath>

#include "core/error.h"

namespace panther {
namespace {

/// c_MN from a_MK and b_KN. `weight_scale`: bytes of b relative to its numbers (signs kept as bits or not at all cost less).
struct Product {
  double m, n, k;
  double weight_scale = 1;
};

struct Cost {
  double seconds = 0;
  bool own = false;
};

class Model {
 public:
  Model(const LinearProblem& problem, const Calibration& calibration) : p_(problem), c_(calibration), element_(size_of(problem.dtype)) {
    switch (problem.dtype) {
      case DType::f64: dtype_ = 0; break;
      case DType::f32: dtype_ = 1; break;
      case DType::bf16: dtype_ = 2; break;
      case DType::f16: dtype_ = 3; break;
      case DType::i64: case DType::i32: case DType::u8:
        fail(ErrorCode::InvalidArgument, "linear cost model: ", dtype_name(problem.dtype), " has no matrix product");
    }
  }

  double library(const Product& x) const { return seconds(x, c_.library[dtype_], 1) + c_.launch_seconds; }
  double own(const Product& x) const { return seconds(x, c_.own[dtype_], x.weight_scale) + c_.launch_seconds; }
  double fused(const Product& x) const {
    const double arithmetic = c_.fused_flops > 0 ? 2 * x.m * x.n * x.k / c_.fused_flops + c_.launch_seconds : 0;
    return std::max(arithmetic, own(x));
  }
  Cost better(const Product& x) const {
    const double theirs = library(x), ours = own(x);
    return {std::min(theirs, ours), ours < theirs};
  }

  /// Half of a factor's numbers are signs.
  double weight_scale() const {
    const double sign = p_.signs == SignStorage::expanded ? 1.0 : p_.signs == SignStorage::bits ? 1.0 / (8 * element_) : 0.0;
    return (1 + sign) / 2;
  }
  /// Making `count` signs for the whole batch, once for every `signs_reused` rows. Zero when they are stored.
  double generation(double count) const {
    if (p_.signs != SignStorage::seed) return 0;
    return count * std::ceil(b() / static_cast<double>(std::max<std::int64_t>(c_.signs_reused, 1))) / c_.signs_per_second;
  }
  /// Signs as numbers in the workspace, before a library's product can use them.
  double expansion(double count) const {
    if (p_.signs == SignStorage::expanded) return 0;
    return (p_.signs == SignStorage::seed ? count / c_.signs_per_second : 0) + count * element_ / c_.memory_bytes_per_second + c_.launch_seconds;
  }

  double b() const { return static_cast<double>(p_.rows); }
  double d() const { return static_cast<double>(p_.inputs); }
  double o() const { return static_cast<double>(p_.outputs); }
  double r() const { return static_cast<double>(p_.sketch_size); }
  double launch() const { return c_.launch_seconds; }

 private:
  double seconds(const Product& x, const ProductRate& rate, double weight_scale) const {
    const double bytes = element_ * (x.m * x.k + weight_scale * x.k * x.n + x.m * x.n);
    const double bandwidth = bytes <= c_.cache_bytes ? c_.cache_bytes_per_second : c_.memory_bytes_per_second;
    return std::max(2 * x.m * x.n * x.k / rate.at(std::min({x.m, x.n, x.k})), bytes / bandwidth);
  }

  const LinearProblem& p_;
  const Calibration& c_;
  double element_;
  std::size_t dtype_ = 0;
};

std::array<Product, 4> products_of(const LinearProblem& p, const Model& m, int& count) {
  const double scale = m.weight_scale();
  if (p.pass != LinearPass::backward) {
    count = 2;
    return {Product{m.b(), 2 * m.r(), m.d(), scale}, Product{m.b(), m.o(), 2 * m.r(), scale}, {}, {}};
  }
  count = p.needs_dx ? 4 : 3;
  return {Product{m.b(), 2 * m.r(), m.o(), scale}, Product{m.r(), m.o(), m.b()}, Product{m.r(), m.d(), m.b()}, Product{m.b(), m.d(), 2 * m.r(), scale}};
}

LinearChoice chain(const LinearProblem& p, const Model& m) {
  LinearChoice choice;
  int count = 0;
  const std::array<Product, 4> products = products_of(p, m, count);
  bool library = false;
  for (int i = 0; i < count; ++i) {
    const Cost cost = m.better(products[static_cast<std::size_t>(i)]);
    choice.own[static_cast<std::size_t>(i)] = cost.own;
    choice.seconds += cost.seconds;
    library = library || !cost.own;
  }
  if (library) choice.seconds += m.expansion(m.r() * (m.d() + m.o()));
  return choice;
}

LinearChoice fused(const LinearProblem& p, const Model& m) {
  LinearChoice choice;
  choice.path = LinearPath::fused;
  int count = 0;
  const std::array<Product, 4> products = products_of(p, m, count);
  for (int i = 0; i < count; ++i) {
    choice.own[static_cast<std::size_t>(i)] = true;
    choice.seconds += m.fused(products[static_cast<std::size_t>(i)]);
  }
  // Forward is one launch, whose only price of signs from a seed is their generation.
  if (p.pass != LinearPass::backward) choice.seconds -= m.launch();
  choice.seconds += m.generation(m.r() * (m.d() + m.o()));
  return choice;
}

double dense_layer(const LinearProblem& p, const Model& m) {
  if (p.pass != LinearPass::backward) return m.library({m.b(), m.o(), m.d()});
  return m.library({m.d(), m.o(), m.b()}) + (p.needs_dx ? m.library({m.b(), m.d(), m.o()}) : 0);
}

LinearChoice dense(const LinearProblem& p, const Model& m) {
  LinearChoice choice;
  choice.path = LinearPath::dense;
  if (!p.dense_cached) choice.seconds += m.library({m.d(), m.o(), 2 * m.r()}) + m.expansion(m.r() * (m.d() + m.o()));
  if (p.pass == LinearPass::inference) {
    choice.seconds += m.library({m.b(), m.o(), m.d()});
    return choice;
  }
  if (p.pass == LinearPass::forward) {  // backward needs X U2
    choice.seconds += m.library({m.b(), m.o(), m.d()}) + m.better({m.b(), m.r(), m.d()}).seconds;
    return choice;
  }
  if (p.needs_dx) choice.seconds += m.library({m.b(), m.d(), m.o()});
  const double thin = m.better({m.b(), m.r(), m.o()}).seconds + m.better({m.r(), m.d(), m.b()}).seconds + m.better({m.r(), m.o(), m.b()}).seconds;
  const double through_dw = m.library({m.d(), m.o(), m.b()}) + m.better({m.d(), m.r(), m.o()}).seconds + m.better({m.r(), m.o(), m.d()}).seconds;
  choice.dense_gradient = through_dw < thin;
  choice.seconds += std::min(thin, through_dw);
  return choice;
}

void require(const LinearProblem& p) {
  PANTHER_REQUIRE(p.rows >= 0 && p.inputs >= 0 && p.outputs >= 0 && p.sketch_size >= 0, "linear cost model: sizes must not be negative: rows ", p.rows,
                  ", inputs ", p.inputs, ", outputs ", p.outputs, ", sketch size ", p.sketch_size);
}

std::string milliseconds(double seconds) {
  char text[32];
  std::snprintf(text, sizeof text, "%.3g ms", seconds * 1e3);
  return text;
}

bool possible(const LinearProblem& p, const Calibration& c, LinearPath path) {
  if (path == LinearPath::dense) return p.dense_allowed || p.dense_cached;
  if (path == LinearPath::fused) return c.fused_rows < 0 || p.rows <= c.fused_rows;
  return true;
}

}  // namespace

double ProductRate::at(double width) const {
  if (width <= kWidths.front()) return flops.front();
  for (std::size_t i = 1; i < kWidths.size(); ++i) {
    if (width > kWidths[i]) continue;
    const double part = std::log(width / kWidths[i - 1]) / std::log(kWidths[i] / kWidths[i - 1]);
    return flops[i - 1] * std::pow(flops[i] / flops[i - 1], part);
  }
  return flops.back();
}

std::string_view linear_path_name(LinearPath path) {
  switch (path) {
    case LinearPath::chain: return "chain";
    case LinearPath::fused: return "fused";
    case LinearPath::dense: return "dense";
  }
  return "";
}

LinearChoice predict_linear_path(const LinearProblem& problem, const Calibration& calibration, LinearPath path) {
  require(problem);
  const Model model(problem, calibration);
  LinearChoice choice = path == LinearPath::chain ? chain(problem, model) : path == LinearPath::fused ? fused(problem, model) : dense(problem, model);
  choice.dense_layer_seconds = dense_layer(problem, model);
  return choice;
}

LinearChoice choose_linear_path(const LinearProblem& problem, const Calibration& calibration, std::optional<LinearPath> current) {
  constexpr double kKeep = 0.9;
  constexpr std::array<LinearPath, 3> paths{LinearPath::chain, LinearPath::fused, LinearPath::dense};
  std::array<LinearChoice, 3> choices;
  std::size_t best = 0, held = paths.size();
  std::string all;
  for (std::size_t i = 0; i < paths.size(); ++i) {
    choices[i] = predict_linear_path(problem, calibration, paths[i]);
    if (!possible(problem, calibration, paths[i])) {
      all += concat(", ", linear_path_name(paths[i]), " not possible");
      continue;
    }
    all += concat(", ", linear_path_name(paths[i]), " ", milliseconds(choices[i].seconds));
    if (choices[i].seconds < choices[best].seconds) best = i;
    if (current == paths[i]) held = i;
  }
  const bool keep = held < paths.size() && held != best && choices[best].seconds > kKeep * choices[held].seconds;
  LinearChoice choice = choices[keep ? held : best];
  choice.why = concat(linear_path_name(choice.path), keep ? " stays, no other is a tenth faster" : " is predicted fastest", ": ", all.substr(2),
                      "; an ordinary layer ", milliseconds(choice.dense_layer_seconds));
  return choice;
}

const Calibration& default_calibration(DeviceKind device) {
  // f32 and memory: one Zen 5 core with AVX-512 (bench_linear 1 sweep); other dtypes a Zen 3 core. H200: 790 Tflop/s bf16, 4.3 TB/s, 50 MB of L2 (design,
  // section 5); the rest scaled from them.
  static const Calibration cpu{{ProductRate{{8e9, 20e9, 36e9, 42e9}}, ProductRate{{87e9, 238e9, 244e9, 244e9}}, ProductRate{{8e9, 20e9, 40e9, 45e9}},
                                ProductRate{{8e9, 20e9, 40e9, 45e9}}},
                               {ProductRate{{10e9, 19e9, 23e9, 24e9}}, ProductRate{{62e9, 93e9, 104e9, 105e9}}, ProductRate{{16e9, 34e9, 44e9, 48e9}},
                                ProductRate{{16e9, 32e9, 42e9, 46e9}}},
                               40e9, 200e9, 16e6, 1e-7, 4.9e9, -1, 48, 0};
  static const Calibration cuda{{ProductRate{{1e12, 4e12, 16e12, 50e12}}, ProductRate{{1e12, 4e12, 16e12, 45e12}}, ProductRate{{12e12, 48e12, 190e12, 650e12}},
                                 ProductRate{{12e12, 48e12, 190e12, 650e12}}},
                                {ProductRate{{2e12, 6e12, 8e12, 8e12}}, ProductRate{{4e12, 10e12, 14e12, 16e12}}, ProductRate{{4e12, 10e12, 14e12, 16e12}},
                                 ProductRate{{4e12, 10e12, 14e12, 16e12}}},
                                4.3e12, 8e12, 40e6, 3e-6, 3e13, 64, 64, 6e10};
  return device == DeviceKind::cpu ? cpu : cuda;
}

}  // namespace panther
