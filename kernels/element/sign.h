#pragma once
// +-scale from sign bits, without a branch: the sign bit of the stored scale is flipped.
#include <cstdint>

#include "kernels/element/convert.h"

namespace panther {

/// `bit` is 0 or 1; 1 negates.
PANTHER_HOST_DEVICE inline float with_sign(float scale, std::uint32_t bit) { return float_of(bits_of(scale) ^ (bit << 31)); }
PANTHER_HOST_DEVICE inline double with_sign(double scale, std::uint32_t bit) { return bit != 0 ? -scale : scale; }
PANTHER_HOST_DEVICE inline Bf16 with_sign(Bf16 scale, std::uint32_t bit) { return {static_cast<std::uint16_t>(scale.bits ^ (bit << 15))}; }
PANTHER_HOST_DEVICE inline F16 with_sign(F16 scale, std::uint32_t bit) { return {static_cast<std::uint16_t>(scale.bits ^ (bit << 15))}; }

}  // namespace panther
