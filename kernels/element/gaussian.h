#pragma once
// Two standard normal values from two random words by Box and Muller's transform (1958), in f32 arithmetic of our own: multiplications,
// additions and a square root in a fixed order, no library function and no fused multiply-add, so every device has the same bits.
// Files that include this are compiled without contraction (-ffp-contract=off, --fmad=false).
//
// Polynomials: single precision log, sin and cos of Cephes (Moshier). The radius uses 31 bits of its word (largest value 6.66, which a
// true normal exceeds once in 4e10 draws), the angle all 32.
#include <cmath>
#include <cstdint>

#include "kernels/element/half.h"

namespace panther {

struct NormalPair {
  float first, second;
};

/// Natural logarithm of a positive normal f32.
PANTHER_HOST_DEVICE inline float log_positive(float value) {
  // value = m 2^e with m in [sqrt 1/2, sqrt 2).
  const std::int32_t bits = static_cast<std::int32_t>(bits_of(value));
  const std::int32_t exponent = (bits - 0x3f3504f3) >> 23;
  const float x = float_of(static_cast<std::uint32_t>(bits - (exponent << 23))) - 1.0f;
  const float e = static_cast<float>(exponent), z = x * x;
  float p = 7.0376836292e-2f;
  p = p * x - 1.1514610310e-1f;
  p = p * x + 1.1676998740e-1f;
  p = p * x - 1.2420140846e-1f;
  p = p * x + 1.4249322787e-1f;
  p = p * x - 1.6668057665e-1f;
  p = p * x + 2.0000714765e-1f;
  p = p * x - 2.4999993993e-1f;
  p = p * x + 3.3333331174e-1f;
  // ln 2 in two parts: the first has 9 bits, so its product with an exponent is exact.
  const float small = p * x * z + e * -2.12194440e-4f - 0.5f * z;
  return small + x + e * 0.693359375f;
}

/// sqrt(-2 ln u), u = (word / 2 + 1/2) / 2^31 in (0, 1].
PANTHER_HOST_DEVICE inline float normal_radius(std::uint32_t word) {
  const float u = static_cast<float>(static_cast<std::int32_t>(word >> 1)) * 4.656612873077393e-10f + 2.3283064365386963e-10f;
  const float square = -2.0f * log_positive(u);
  return sqrtf(square > 0.0f ? square : 0.0f);
}

/// cos and sin of 2 pi word / 2^32.
PANTHER_HOST_DEVICE inline NormalPair on_circle(std::uint32_t word) {
  // The nearest multiple of a quarter turn, and what is left of it in [-pi/4, pi/4].
  const std::uint32_t quarter = (word + 0x20000000u) >> 30;
  const float x = static_cast<float>(static_cast<std::int32_t>(word - (quarter << 30))) * 1.4629180792671596e-9f;
  const float z = x * x;
  const float sine = ((-1.9515295891e-4f * z + 8.3321608736e-3f) * z - 1.6666654611e-1f) * z * x + x;
  const float cosine = ((2.443315711809948e-5f * z - 1.388731625493765e-3f) * z + 4.166664568298827e-2f) * z * z - 0.5f * z + 1.0f;
  const bool swap = (quarter & 1u) != 0;
  const std::uint32_t c = bits_of(swap ? sine : cosine), s = bits_of(swap ? cosine : sine);
  return {float_of(c ^ (((quarter + 1u) & 2u) << 30)), float_of(s ^ ((quarter & 2u) << 30))};
}

PANTHER_HOST_DEVICE inline NormalPair normal_pair(std::uint32_t radius_word, std::uint32_t angle_word) {
  const float radius = normal_radius(radius_word);
  const NormalPair point = on_circle(angle_word);
  return {radius * point.first, radius * point.second};
}

struct NormalBlock {
  float value[4];
};

/// Entry i of vector j of a Gaussian sketch is value[i % 4] for the Philox block with counter {i / 4, j, epoch, gaussian}.
PANTHER_HOST_DEVICE inline NormalBlock normal_block(const PhiloxBlock& words) {
  const NormalPair a = normal_pair(words.word[0], words.word[1]), b = normal_pair(words.word[2], words.word[3]);
  return {{a.first, a.second, b.first, b.second}};
}

}  // namespace panther
