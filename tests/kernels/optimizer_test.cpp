#include <gtest/gtest.h>
#include <omp.h>

#include "core/error.h"
#include "kernels/kernel_set.h"
#include "tests/kernels/array.h"

namespace panther {
namespace {

using test::Array;

struct State {
  Array parameter, gradient, first, second;
  double lr, weight_decay;

  State(DType dtype, std::int64_t size, std::uint64_t seed, double rate, double decay)
      : parameter(test::random_vector(dtype, size, seed)), gradient(test::random_vector(dtype, size, seed + 1)), first(test::random_vector(dtype, size, seed + 2)),
        second(test::random_vector(dtype, size, seed + 3)), lr(rate), weight_decay(decay) {
    for (std::int64_t i = 0; i < size; ++i) second.set(i, second.at(i) * second.at(i));
  }
  OptimizerTensor tensor() const { return {parameter.view, gradient.view, first.view, second.view, lr, weight_decay}; }
};

std::vector<OptimizerTensor> tensors_of(const std::vector<State>& states) {
  std::vector<OptimizerTensor> tensors;
  for (const State& state : states) tensors.push_back(state.tensor());
  return tensors;
}

std::vector<State> mixed_states() {
  std::vector<State> states;
  states.emplace_back(DType::f32, 1, 10, 1e-2, 0.0);
  states.emplace_back(DType::f64, 777, 20, 3e-3, 0.1);
  states.emplace_back(DType::f32, 0, 30, 1e-2, 0.1);
  states.emplace_back(DType::f32, 50001, 40, 1e-3, 0.05);
  return states;
}

/// A few operations, each within one rounding of its operands' size.
double tolerance(DType dtype, double size) { return 16 * test::unit_roundoff(dtype) * size; }

// Kingma and Ba's recurrences with bias correction and decoupled decay, in f64 from the same inputs.
TEST(AdamW, MatchesTheFormula) {
  const AdamWStep step{0.9, 0.95, 1e-8, 7, 0.5};
  const std::vector<State> before = mixed_states();
  std::vector<State> after = before;
  cpu_kernels().adamw(tensors_of(after), step, {});
  for (std::size_t t = 0; t < before.size(); ++t) {
    const State& old = before[t];
    const DType dtype = old.parameter.view.dtype;
    for (std::int64_t i = 0; i < old.parameter.view.shape[0]; ++i) {
      const double g = 0.5 * old.gradient.at(i);
      const double m = 0.9 * old.first.at(i) + (1.0 - 0.9) * g, v = 0.95 * old.second.at(i) + (1.0 - 0.95) * g * g;
      const double update = (m / (1.0 - std::pow(0.9, 7.0))) / (std::sqrt(v / (1.0 - std::pow(0.95, 7.0))) + 1e-8);
      const double p = old.parameter.at(i) - old.lr * old.weight_decay * old.parameter.at(i) - old.lr * update;
      ASSERT_NEAR(after[t].first.at(i), m, tolerance(dtype, 1.0));
      ASSERT_NEAR(after[t].second.at(i), v, tolerance(dtype, 1.0));
      ASSERT_NEAR(after[t].parameter.at(i), p, tolerance(dtype, 1.0) + tolerance(dtype, old.lr * std::abs(update) * 4));
    }
  }
}

TEST(AdamW, FirstStepMovesByTheLearningRate) {
  State state(DType::f64, 100, 3, 1e-3, 0.0);
  for (std::int64_t i = 0; i < 100; ++i) state.first.set(i, 0), state.second.set(i, 0);
  const State before = state;
  cpu_kernels().adamw(std::vector<OptimizerTensor>{state.tensor()}, AdamWStep{}, {});
  for (std::int64_t i = 0; i < 100; ++i) {
    const double sign = before.gradient.at(i) > 0 ? 1.0 : -1.0;
    // |g| / (|g| + 1e-8) with |g| > 1e-3 here differs from 1 by less than 1e-5.
    EXPECT_NEAR(before.parameter.at(i) - state.parameter.at(i), sign * 1e-3, 1e-3 * 1e-8 / std::abs(before.gradient.at(i)) + 1e-15);
  }
}

TEST(AdamW, ThreadCountChangesNoBit) {
  const int threads = omp_get_max_threads();
  std::vector<std::vector<State>> results;
  for (const int count : {1, 2}) {
    omp_set_num_threads(count);
    std::vector<State> states = mixed_states();
    for (int s = 1; s <= 3; ++s) cpu_kernels().adamw(tensors_of(states), AdamWStep{0.9, 0.95, 1e-8, s, 1.0}, {});
    results.push_back(std::move(states));
  }
  omp_set_num_threads(threads);
  for (std::size_t t = 0; t < results[0].size(); ++t) {
    EXPECT_EQ(results[0][t].parameter.bytes, results[1][t].parameter.bytes);
    EXPECT_EQ(results[0][t].second.bytes, results[1][t].second.bytes);
  }
}

void expect_sgd(const SgdStep& step) {
  const std::vector<State> before = mixed_states();
  std::vector<State> after = before;
  cpu_kernels().sgd(tensors_of(after), step, {});
  for (std::size_t t = 0; t < before.size(); ++t) {
    const State& old = before[t];
    for (std::int64_t i = 0; i < old.parameter.view.shape[0]; ++i) {
      const double g = step.gradient_scale * old.gradient.at(i), velocity = step.momentum * old.first.at(i) + g;
      const double direction = step.momentum == 0 ? g : step.nesterov ? g + step.momentum * velocity : velocity;
      const double p = old.parameter.at(i) * (1.0 - old.lr * old.weight_decay) - old.lr * direction;
      ASSERT_NEAR(after[t].parameter.at(i), p, tolerance(old.parameter.view.dtype, 1.0));
      ASSERT_NEAR(after[t].first.at(i), step.momentum == 0 ? old.first.at(i) : velocity, tolerance(old.parameter.view.dtype, 2.0));
    }
  }
}

TEST(Sgd, MatchesTheFormula) {
  expect_sgd({0.0, false, 1.0});
  expect_sgd({0.9, false, 0.25});
  expect_sgd({0.9, true, 1.0});
}

TEST(Sgd, NeedsNoMomentumBufferWithoutMomentum) {
  State state(DType::f32, 10, 1, 0.1, 0.0);
  OptimizerTensor tensor = state.tensor();
  tensor.first_moment = TensorView{};
  cpu_kernels().sgd(std::vector<OptimizerTensor>{tensor}, SgdStep{}, {});
  EXPECT_THROW(cpu_kernels().sgd(std::vector<OptimizerTensor>{tensor}, SgdStep{0.9, false, 1.0}, {}), Error);
}

TEST(AdamW, RefusesMismatchedBuffers) {
  State state(DType::f32, 10, 1, 0.1, 0.0), other(DType::f64, 10, 1, 0.1, 0.0);
  OptimizerTensor tensor = state.tensor();
  tensor.gradient = other.gradient.view;
  EXPECT_THROW(cpu_kernels().adamw(std::vector<OptimizerTensor>{tensor}, AdamWStep{}, {}), Error);
}

}  // namespace
}  // namespace panther
