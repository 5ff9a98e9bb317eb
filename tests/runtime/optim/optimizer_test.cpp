#include <cmath>
#include <fstream>
#include <limits>

#include "core/error.h"
#include "core/json_text.h"
#include "runtime/optim/optimizer.h"

namespace panther::runtime {
namespace {

using testing::HasSubstr;

/// Three tensors of odd sizes: with and without decay, one at another rate. Values depend on element and step alone.
struct Problem {
  explicit Problem(at::ScalarType dtype, at::Device device = at::kCPU) {
    const std::vector<std::vector<std::int64_t>> shapes = {{5, 7}, {13}, {3, 1, 5}};
    for (std::size_t i = 0; i < shapes.size(); ++i) {
      ParameterInfo info;
      info.name = "p" + std::to_string(i);
      info.tensor = fill(shapes[i], static_cast<double>(i), 0).to(dtype).to(device).set_requires_grad(true);
      info.decay = i != 1;
      info.lr_scale = i == 2 ? 0.5 : 1.0;
      parameters.push_back(info);
    }
  }
  static at::Tensor fill(at::IntArrayRef shape, double which, std::int64_t step) {
    at::Tensor result = at::empty(shape, at::kDouble);
    for (std::int64_t e = 0; e < result.numel(); ++e) {
      result.mutable_data_ptr<double>()[e] = std::sin(1.0 + 3.1 * which + 0.7 * static_cast<double>(e) + 1.3 * static_cast<double>(step));
    }
    return result;
  }
  void set_gradients(std::int64_t step) {
    for (std::size_t i = 0; i < parameters.size(); ++i) {
      at::Tensor& tensor = parameters[i].tensor;
      tensor.mutable_grad() = fill(tensor.sizes(), 10 + static_cast<double>(i), step).to(tensor.options().requires_grad(false));
    }
  }
  std::vector<ParameterInfo> parameters;
};

OptimConfig adamw_config() {
  OptimConfig config;
  config.kind = "adamw";
  config.weight_decay = 0.1;
  return config;
}

/// The update written element by element from the paper, in f64.
struct Reference {
  explicit Reference(const Problem& problem) {
    for (const ParameterInfo& p : problem.parameters) {
      const at::Tensor flat = p.tensor.detach().to(at::kDouble).reshape(-1).contiguous();
      value.emplace_back(flat.const_data_ptr<double>(), flat.const_data_ptr<double>() + flat.numel());
      first.emplace_back(static_cast<std::size_t>(flat.numel()), 0.0);
      second.emplace_back(static_cast<std::size_t>(flat.numel()), 0.0);
    }
  }
  template <class Update>
  void each(const Problem& problem, Update update) {
    for (std::size_t i = 0; i < value.size(); ++i) {
      const at::Tensor g = problem.parameters[i].tensor.grad().to(at::kDouble).reshape(-1).contiguous();
      for (std::size_t e = 0; e < value[i].size(); ++e) {
        update(problem.parameters[i], value[i][e], g.const_data_ptr<double>()[e], first[i][e], second[i][e]);
      }
    }
  }
  double largest_error(const Problem& problem) const {
    double worst = 0;
    for (std::size_t i = 0; i < value.size(); ++i) {
      const at::Tensor flat = problem.parameters[i].tensor.detach().to(at::kDouble).reshape(-1).contiguous();
      for (std::size_t e = 0; e < value[i].size(); ++e) worst = std::max(worst, std::abs(flat.const_data_ptr<double>()[e] - value[i][e]));
    }
    return worst;
  }
  std::vector<std::vector<double>> value, first, second;
};

double run_adamw(at::ScalarType dtype, int steps) {
  Problem problem(dtype);
  Reference reference(problem);
  const OptimConfig config = adamw_config();
  const auto optimizer = make_optimizer(config, problem.parameters);
  for (int t = 1; t <= steps; ++t) {
    problem.set_gradients(t);
    const double lr = 0.01 / t, scale = t % 2 == 0 ? 0.25 : 1.0;
    optimizer->step(lr, scale);
    reference.each(problem, [&](const ParameterInfo& info, double& w, double gradient, double& m, double& v) {
      const double g = scale * gradient, rate = lr * info.lr_scale;
      m = config.beta1 * m + (1 - config.beta1) * g;
      v = config.beta2 * v + (1 - config.beta2) * g * g;
      const double m_hat = m / (1 - std::pow(config.beta1, t)), v_hat = v / (1 - std::pow(config.beta2, t));
      w -= rate * (m_hat / (std::sqrt(v_hat) + config.epsilon) + (info.decay ? config.weight_decay * w : 0.0));
    });
  }
  EXPECT_EQ(optimizer->steps_taken(), steps);
  return reference.largest_error(problem);
}

// f64: some tens of roundings of values near 1. f32: a step moves by at most 0.01 with about ten roundings of 6e-8 relative, and the
// value itself is rounded once or twice per step at 6e-8: 30 steps stay below 30 * 2 * 6e-8 = 4e-6.
TEST(AdamW, FollowsThePaper) {
  EXPECT_LT(run_adamw(at::kDouble, 30), 1e-13);
  EXPECT_LT(run_adamw(at::kFloat, 30), 4e-6);
}

double run_sgd(at::ScalarType dtype, double momentum, bool nesterov) {
  Problem problem(dtype);
  Reference reference(problem);
  OptimConfig config;
  config.kind = "sgd";
  config.momentum = momentum;
  config.nesterov = nesterov;
  config.weight_decay = 0.05;
  const auto optimizer = make_optimizer(config, problem.parameters);
  EXPECT_EQ(optimizer->state().size(), momentum > 0 ? 3u : 0u);
  for (int t = 1; t <= 20; ++t) {
    problem.set_gradients(t);
    optimizer->step(0.02, 0.5);
    reference.each(problem, [&](const ParameterInfo& info, double& w, double gradient, double& velocity, double&) {
      const double g = 0.5 * gradient, rate = 0.02 * info.lr_scale;
      velocity = momentum * velocity + g;
      const double direction = nesterov ? g + momentum * velocity : velocity;
      w = w * (1 - rate * (info.decay ? config.weight_decay : 0.0)) - rate * direction;
    });
  }
  return reference.largest_error(problem);
}

TEST(Sgd, FollowsItsFormula) {
  for (const double momentum : {0.0, 0.9}) {
    EXPECT_LT(run_sgd(at::kDouble, momentum, false), 1e-13);
    EXPECT_LT(run_sgd(at::kFloat, momentum, false), 4e-6);
  }
  EXPECT_LT(run_sgd(at::kDouble, 0.9, true), 1e-13);
}

TEST(Optimizer, StateIsNamedAndShared) {
  Problem problem(at::kFloat), twin(at::kFloat);
  const auto optimizer = make_optimizer(adamw_config(), problem.parameters);
  std::vector<std::string> names;
  for (const auto& [name, tensor] : optimizer->state()) names.push_back(name);
  EXPECT_EQ(names, (std::vector<std::string>{"p0.m", "p0.v", "p1.m", "p1.v", "p2.m", "p2.v"}));
  for (int t = 1; t <= 3; ++t) {
    problem.set_gradients(t);
    optimizer->step(0.01, 1);
  }
  // Carrying state, step count and values over continues bit for bit.
  const auto resumed = make_optimizer(adamw_config(), twin.parameters);
  resumed->set_steps_taken(optimizer->steps_taken());
  auto from = optimizer->state(), to = resumed->state();
  for (std::size_t i = 0; i < from.size(); ++i) to[i].second.copy_(from[i].second);
  for (std::size_t i = 0; i < 3; ++i) {
    const at::NoGradGuard no_grad;
    twin.parameters[i].tensor.copy_(problem.parameters[i].tensor);
  }
  problem.set_gradients(4);
  twin.set_gradients(4);
  optimizer->step(0.01, 1);
  resumed->step(0.01, 1);
  for (std::size_t i = 0; i < 3; ++i) EXPECT_TRUE(at::equal(problem.parameters[i].tensor, twin.parameters[i].tensor));
}

TEST(Optimizer, FollowsGradientsThatMoveAndSkipsThoseThatAreAbsent) {
  Problem problem(at::kDouble);
  const auto optimizer = make_optimizer(adamw_config(), problem.parameters);
  problem.set_gradients(1);
  at::Tensor& moved = problem.parameters[0].tensor;
  moved.mutable_grad() = moved.grad().t().contiguous().t();  // the same values, not contiguous
  problem.parameters[1].tensor.mutable_grad() = at::Tensor();
  const at::Tensor before = problem.parameters[1].tensor.detach().clone();
  const auto version = moved._version();
  optimizer->step(0.01, 1);
  EXPECT_GT(moved._version(), version) << "autograd must see the write";
  EXPECT_TRUE(at::equal(problem.parameters[1].tensor, before));
  Problem plain(at::kDouble);
  const auto other = make_optimizer(adamw_config(), plain.parameters);
  plain.set_gradients(1);
  other->step(0.01, 1);
  EXPECT_TRUE(at::equal(moved, plain.parameters[0].tensor));
}

TEST(Optimizer, RefusesWhatItCannotUpdate) {
  const auto message = [](std::vector<ParameterInfo> parameters, const OptimConfig& config) -> std::string {
    try {
      make_optimizer(config, std::move(parameters));
    } catch (const Error& error) {
      return error.what();
    }
    return "no error";
  };
  Problem problem(at::kFloat);
  auto twice = problem.parameters;
  twice[1].name = "p0";
  EXPECT_THAT(message(twice, adamw_config()), HasSubstr("two parameters are named 'p0'"));
  auto half = problem.parameters;
  half[2].tensor = half[2].tensor.detach().to(at::kBFloat16);
  EXPECT_THAT(message(half, adamw_config()), HasSubstr("'p2' is BFloat16"));
  auto transposed = problem.parameters;
  transposed[0].tensor = transposed[0].tensor.detach().t();
  EXPECT_THAT(message(transposed, adamw_config()), HasSubstr("'p0' is not contiguous"));
  OptimConfig unknown;
  unknown.kind = "adam";
  EXPECT_THAT(message(problem.parameters, unknown), HasSubstr("did you mean 'adamw'"));
  OptimConfig nesterov;
  nesterov.kind = "sgd";
  nesterov.momentum = 0;
  nesterov.nesterov = true;
  EXPECT_THAT(message(problem.parameters, nesterov), HasSubstr("optim.momentum"));
}

TEST(GradientNorm, IsTheGlobalNormOverDefinedGradients) {
  for (const at::ScalarType dtype : {at::kFloat, at::kDouble}) {
    Problem problem(dtype);
    problem.set_gradients(1);
    double squares = 0;
    for (const ParameterInfo& p : problem.parameters) squares += p.tensor.grad().to(at::kDouble).pow(2).sum().item<double>();
    EXPECT_NEAR(gradient_norm(problem.parameters), std::sqrt(squares), 1e-12);
    problem.parameters[1].tensor.mutable_grad()[3] = std::numeric_limits<double>::quiet_NaN();
    EXPECT_FALSE(std::isfinite(gradient_norm(problem.parameters)));
    problem.parameters[1].tensor.mutable_grad()[3] = std::numeric_limits<double>::infinity();
    EXPECT_FALSE(std::isfinite(gradient_norm(problem.parameters)));
    for (ParameterInfo& p : problem.parameters) p.tensor.mutable_grad() = at::Tensor();
    EXPECT_EQ(gradient_norm(problem.parameters), 0);
  }
}

TEST(ClipScale, BringsTheNormToTheLimit) {
  EXPECT_EQ(clip_scale(0.5, 1.0), 1.0);
  EXPECT_EQ(clip_scale(1.0, 1.0), 1.0);
  EXPECT_DOUBLE_EQ(clip_scale(8.0, 2.0), 0.25);
  EXPECT_EQ(clip_scale(8.0, 0.0), 1.0);
  EXPECT_EQ(clip_scale(std::numeric_limits<double>::infinity(), 1.0), 1.0);
  EXPECT_EQ(clip_scale(std::numeric_limits<double>::quiet_NaN(), 1.0), 1.0);
}

TEST(Optimizer, GpuTakesTheStepsOfTheCpu) {
  if (!at::hasCUDA()) GTEST_SKIP() << "no CUDA device";
  for (const char* kind : {"adamw", "sgd"}) {
    OptimConfig config = adamw_config();
    config.kind = kind;
    Problem host(at::kFloat), device(at::kFloat, at::Device(at::kCUDA, 0));
    const auto on_host = make_optimizer(config, host.parameters), on_device = make_optimizer(config, device.parameters);
    for (int t = 1; t <= 10; ++t) {
      host.set_gradients(t);
      device.set_gradients(t);
      EXPECT_NEAR(gradient_norm(device.parameters), gradient_norm(host.parameters), 1e-6);
      on_host->step(0.01, 0.5);
      on_device->step(0.01, 0.5);
    }
    for (std::size_t i = 0; i < 3; ++i) EXPECT_TRUE(at::allclose(device.parameters[i].tensor.cpu(), host.parameters[i].tensor, 1e-6, 1e-7));
  }
}

/// Writes what torch_reference.py recomputes: start, gradients and result of 12 steps in f64, without decay for sgd (torch couples it).
TEST(TorchReference, WritesItsSteps) {
  const char* folder = std::getenv("PANTHER_TEST_OUTPUT");
  if (folder == nullptr) GTEST_SKIP() << "run by CTest with a folder for torch_reference.py";
  std::ofstream out(std::string(folder) + "/steps.json");
  const auto list = [](const at::Tensor& tensor) {
    const at::Tensor flat = tensor.detach().reshape(-1).contiguous();
    std::string text = "[";
    for (std::int64_t e = 0; e < flat.numel(); ++e) text += (e > 0 ? "," : "") + json_number(flat.const_data_ptr<double>()[e]);
    return text + "]";
  };
  const char* separator = "[";
  for (const std::string rule : {"adamw", "sgd", "nesterov", "plain"}) {
    Problem problem(at::kDouble);
    OptimConfig config = adamw_config();
    config.kind = rule == "adamw" ? "adamw" : "sgd";
    config.nesterov = rule == "nesterov";
    config.momentum = rule == "plain" ? 0.0 : 0.9;
    config.weight_decay = rule == "adamw" ? 0.1 : 0.0;
    const auto optimizer = make_optimizer(config, problem.parameters);
    for (std::size_t i = 0; i < 3; ++i) {
      out << separator << "{\"rule\":\"" << rule << "\",\"decay\":" << (problem.parameters[i].decay ? config.weight_decay : 0.0)
          << ",\"lr\":" << 0.01 * problem.parameters[i].lr_scale << ",\"start\":" << list(problem.parameters[i].tensor) << ",\"gradients\":[";
      for (int t = 1; t <= 12; ++t) out << (t > 1 ? "," : "") << list(Problem::fill(problem.parameters[i].tensor.sizes(), 10 + static_cast<double>(i), t));
      out << "],\"end\":\"" << rule << i << "\"}";
      separator = ",";
    }
    for (int t = 1; t <= 12; ++t) {
      problem.set_gradients(t);
      optimizer->step(0.01, 1.0);
    }
    for (std::size_t i = 0; i < 3; ++i) {
      std::ofstream(std::string(folder) + "/" + rule + std::to_string(i) + ".json") << list(problem.parameters[i].tensor);
    }
  }
  out << "]";
  EXPECT_TRUE(out.good());
}

}  // namespace
}  // namespace panther::runtime
