#pragma once
// Quantised elements of a block that shares a scale: value = scale * level, level an integer of -L .. L, code = level + L.
//
// One bit: level -1 or 1. From two bits on the levels are 2^bits - 1 (mid-tread): 0 is one of them, so exact zeros stay zeros and
// no element grows: |v - scale * level| <= |v| for the nearest level.
#include <cstdint>

#include "kernels/element/half.h"

namespace panther {

/// L: the largest level.
PANTHER_HOST_DEVICE constexpr int quantize_limit(int bits) { return bits == 1 ? 1 : (1 << (bits - 1)) - 1; }

/// Step, in standard deviations, of the uniform quantiser with 2 L + 1 levels that has the least mean square error on a normal
/// distribution (Max 1960, table II; 63 levels and more by the same integral).
PANTHER_HOST_DEVICE constexpr float quantize_normal_step(int bits) {
  constexpr float kSteps[9] = {0, 0, 1.2240f, 0.6508f, 0.3534f, 0.19325f, 0.10549f, 0.05725f, 0.030874f};
  return kSteps[bits];
}

/// The nearest integer to x, ties to even, for |x| < 2^22; plain additions, so every processor agrees and loops vectorise.
PANTHER_HOST_DEVICE inline float nearest_integer(float x) { return (x + 12582912.0f) - 12582912.0f; }

PANTHER_HOST_DEVICE inline float clamp_level(float x, float limit) {
  const float low = x < -limit ? -limit : x;
  return low > limit ? limit : low;
}

/// Level of v when a step is 1 / inverse_step.
PANTHER_HOST_DEVICE inline float quantize_level(float v, float inverse_step, float limit) {
  return nearest_integer(clamp_level(v * inverse_step, limit));
}
/// floor(v / step + u) for uniform u in (0, 1): unbiased where |v| <= L step, variance step^2 f (1 - f) with f the fraction of v / step.
PANTHER_HOST_DEVICE inline float quantize_level_random(float v, float inverse_step, float limit, float uniform) {
  return clamp_level(nearest_integer(v * inverse_step + (uniform - 0.5f)), limit);
}
/// One bit: the sign; that of zeros is plus.
PANTHER_HOST_DEVICE inline float quantize_sign(float v) { return v < 0 ? -1.0f : 1.0f; }
/// One bit, unbiased for |v| <= step: plus with probability (1 + v / step) / 2.
PANTHER_HOST_DEVICE inline float quantize_sign_random(float v, float inverse_step, float uniform) {
  return v * inverse_step < 2.0f * uniform - 1.0f ? -1.0f : 1.0f;
}

/// A power of two that brings magnitudes whose largest has these bits to [2^-22, 4): sums of squares then neither overflow nor vanish.
PANTHER_HOST_DEVICE inline float quantize_normaliser(std::uint32_t largest_bits) {
  const std::uint32_t exponent = largest_bits >> 23;
  return float_of((exponent >= 253u ? 1u : 254u - exponent) << 23);
}

}  // namespace panther
