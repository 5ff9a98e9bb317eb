#pragma once
// The exact GELU x Phi(x) and its derivative Phi(x) + x phi(x) of one f32 (Hendrycks, Gimpel, arXiv 1606.08415), without a branch, so
// that loops over it become vector code. The normal tail is Hastings' polynomial (Abramowitz, Stegun, formula 7.1.26) times the
// exponential that the derivative needs anyway: absolute errors of Phi below 2e-7.
#include "kernels/element/exp.h"

namespace panther {

struct GeluValue {
  float y;
  float slope;
};

inline GeluValue gelu_value(float x) {
  const float magnitude = x < 0 ? -x : x;
  const float bell = exp_minus(0.5f * x * x);
  const float t = 1.0f / (1.0f + 0.231641888f * magnitude);  // 0.3275911 / sqrt(2)
  const float series = t * (0.127414796f + t * (-0.142248368f + t * (0.710706871f + t * (-0.726576013f + t * 0.530702714f))));
  const float upper = series * bell;  // 1 - Phi(|x|)
  const float phi = x < 0 ? upper : 1.0f - upper;
  return {x * phi, phi + x * bell * 0.398942280f};
}

}  // namespace panther
