#pragma once
// The update of one parameter element. T is f32 or f64; constants are folded in f64 once per tensor, so CPU and CUDA
// apply the same roundings (both are compiled without contraction to fused multiply-add).
#include <cmath>

#include "kernels/kernel_set.h"

namespace panther {

/// Decoupled weight decay (Loshchilov, Hutter, arXiv 1711.05101, algorithm 2), with PyTorch's order of operations.
template <class T>
struct AdamWFactors {
  T gradient_scale, beta1, one_minus_beta1, beta2, one_minus_beta2, root_bias2, epsilon, decay, step_size;
};

template <class T>
AdamWFactors<T> adamw_factors(const AdamWStep& step, double lr, double weight_decay) {
  const double bias1 = 1.0 - std::pow(step.beta1, static_cast<double>(step.step));
  const double bias2 = 1.0 - std::pow(step.beta2, static_cast<double>(step.step));
  return {static_cast<T>(step.gradient_scale), static_cast<T>(step.beta1), static_cast<T>(1.0 - step.beta1), static_cast<T>(step.beta2),
          static_cast<T>(1.0 - step.beta2), static_cast<T>(std::sqrt(bias2)), static_cast<T>(step.epsilon),
          static_cast<T>(1.0 - lr * weight_decay), static_cast<T>(lr / bias1)};
}

template <class T>
PANTHER_HOST_DEVICE inline void adamw_element(const AdamWFactors<T>& f, T& parameter, T gradient, T& first, T& second) {
  const T g = gradient * f.gradient_scale;
  first = f.beta1 * first + f.one_minus_beta1 * g;
  second = f.beta2 * second + f.one_minus_beta2 * (g * g);
  const T denominator = std::sqrt(second) / f.root_bias2 + f.epsilon;
  parameter = parameter * f.decay - f.step_size * (first / denominator);
}

template <class T>
struct SgdFactors {
  T gradient_scale, momentum, decay, lr;
  bool nesterov;
};

template <class T>
SgdFactors<T> sgd_factors(const SgdStep& step, double lr, double weight_decay) {
  return {static_cast<T>(step.gradient_scale), static_cast<T>(step.momentum), static_cast<T>(1.0 - lr * weight_decay), static_cast<T>(lr),
          step.nesterov};
}

template <class T>
PANTHER_HOST_DEVICE inline void sgd_element(const SgdFactors<T>& f, T& parameter, T gradient) {
  parameter = parameter * f.decay - f.lr * (gradient * f.gradient_scale);
}

template <class T>
PANTHER_HOST_DEVICE inline void sgd_momentum_element(const SgdFactors<T>& f, T& parameter, T gradient, T& velocity) {
  const T g = gradient * f.gradient_scale;
  velocity = f.momentum * velocity + g;
  parameter = parameter * f.decay - f.lr * (f.nesterov ? g + f.momentum * velocity : velocity);
}

}  // namespace panther
