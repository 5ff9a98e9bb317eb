#pragma once
// Activations and their slopes, in plain arithmetic: the same values on every CPU and GPU, and loops over them vectorise (libm's erf and
// exp do not).
#include <cmath>
#include <cstdint>

#include "kernels/element/half.h"
#include "kernels/philox.h"

namespace panther {

enum class Activation : std::uint8_t {
  none,
  relu,
  gelu,       ///< x Phi(x), by erf
  gelu_tanh,  ///< x / (1 + exp(-2 u)) with u = sqrt(2 / pi) (x + 0.044715 x^3): the tanh form
};

/// exp to 1.5 ulp: x = n ln 2 + r, a polynomial of r (Cephes), n added to the exponent. 0 below -87.3, inf above 88.7.
PANTHER_HOST_DEVICE inline float exp_of(float x) {
  const float clamped = x < -87.3f ? -87.3f : x > 88.7f ? 88.7f : x;
  // Adding 1.5 * 2^23 rounds to an integer that stands in the low bits.
  const float shifted = clamped * 1.44269504f + 12582912.0f;
  const float n = shifted - 12582912.0f;
  const float r = (clamped - n * 0.693359375f) + n * 2.12194440e-4f;
  float p = 1.9875691500e-4f;
  p = p * r + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = p * r * r + r + 1.0f;
  // In two steps, so that n = 128 does not overflow the exponent field.
  const std::int32_t whole = static_cast<std::int32_t>(bits_of(shifted) - bits_of(12582912.0f)), half = whole >> 1;
  const float low = float_of(static_cast<std::uint32_t>(half + 127) << 23), high = float_of(static_cast<std::uint32_t>(whole - half + 127) << 23);
  return x < -87.3f ? 0.0f : p * low * high;
}
PANTHER_HOST_DEVICE inline double exp_of(double x) { return std::exp(x); }

/// erf to about 1 ulp: a polynomial near 0, 1 - exp(polynomial) beyond (coefficients: N. Juffa, public domain).
PANTHER_HOST_DEVICE inline float erf_of(float x) {
  const float t = x < 0 ? -x : x, s = x * x;
  float far = (-1.72853470e-5f * t + 3.83197126e-4f) * s + (-3.88396438e-3f * t + 2.42546219e-2f);
  far = far * t - 1.06777877e-1f;
  far = far * t - 6.34846687e-1f;
  far = far * t - 1.28717512e-1f;
  far = far * t - t;
  const float tail = 1.0f - exp_of(t > 4.0f ? -20.0f : far);
  float near = -5.96761703e-4f;
  near = near * s + 4.99119423e-3f;
  near = near * s - 2.67681349e-2f;
  near = near * s + 1.12819925e-1f;
  near = near * s - 3.76125336e-1f;
  near = near * s + 1.28379166e-1f;
  near = near * x + x;
  return t > 0.927734375f ? (x < 0 ? -tail : tail) : near;
}
PANTHER_HOST_DEVICE inline double erf_of(double x) { return std::erf(x); }

template <class T>
PANTHER_HOST_DEVICE inline T activate(Activation kind, T x) {
  switch (kind) {
    case Activation::none: return x;
    case Activation::relu: return x > T{0} ? x : x != x ? x : T{0};
    case Activation::gelu: return T{0.5} * x * (T{1} + erf_of(x * static_cast<T>(0.70710678118654752440)));
    case Activation::gelu_tanh: {
      const T u = static_cast<T>(1.5957691216057307117) * (x + static_cast<T>(0.044715) * x * x * x);
      return x / (T{1} + exp_of(-u));
    }
  }
  return x;
}

/// d activate / dx at the value before the activation. relu's slope at 0 is 0.
template <class T>
PANTHER_HOST_DEVICE inline T slope(Activation kind, T x) {
  switch (kind) {
    case Activation::none: return T{1};
    case Activation::relu: return x > T{0} ? T{1} : T{0};
    case Activation::gelu: {
      const T density = static_cast<T>(0.39894228040143267794) * exp_of(T{-0.5} * x * x);
      return T{0.5} * (T{1} + erf_of(x * static_cast<T>(0.70710678118654752440))) + x * density;
    }
    case Activation::gelu_tanh: {
      const T c = static_cast<T>(1.5957691216057307117);
      const T u = c * (x + static_cast<T>(0.044715) * x * x * x);
      const T gate = T{1} / (T{1} + exp_of(-u));
      return gate + x * gate * (T{1} - gate) * c * (T{1} + static_cast<T>(3 * 0.044715) * x * x);
    }
  }
  return T{1};
}

}  // namespace panther
