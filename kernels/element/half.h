#pragma once
// bf16 and f16 as bit patterns, and their conversions in integer arithmetic: the same bits on every CPU and GPU, whatever
// the flush-to-zero mode, and loops over them vectorise without F16C.
//
// Rounding is to nearest even; overflow gives inf; a nan stays a nan and keeps its sign and the top of its payload.
#include <cstdint>

#include "kernels/philox.h"

#if !defined(__CUDACC__)
#include <bit>
#endif

namespace panther {

struct Bf16 {
  std::uint16_t bits;
};

struct F16 {
  std::uint16_t bits;
};

PANTHER_HOST_DEVICE inline std::uint32_t bits_of(float value) {
#if defined(__CUDACC__)
  union { float f; std::uint32_t u; } both{value};
  return both.u;
#else
  return std::bit_cast<std::uint32_t>(value);
#endif
}

PANTHER_HOST_DEVICE inline float float_of(std::uint32_t bits) {
#if defined(__CUDACC__)
  union { std::uint32_t u; float f; } both{bits};
  return both.f;
#else
  return std::bit_cast<float>(bits);
#endif
}

PANTHER_HOST_DEVICE inline float to_float(Bf16 value) { return float_of(static_cast<std::uint32_t>(value.bits) << 16); }

PANTHER_HOST_DEVICE inline Bf16 to_bf16(float value) {
  const std::uint32_t bits = bits_of(value);
  const std::uint32_t rounded = (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16;
  // A payload that lives in the low bits alone would become inf: setting the quiet bit keeps it a nan.
  const std::uint32_t nan = (bits >> 16) | ((bits & 0xffff0000u & 0x7fffffffu) == 0x7f800000u ? 0x40u : 0u);
  return {static_cast<std::uint16_t>((bits & 0x7fffffffu) > 0x7f800000u ? nan : rounded)};
}

PANTHER_HOST_DEVICE inline float to_float(F16 value) {
  const std::uint32_t sign = static_cast<std::uint32_t>(value.bits & 0x8000u) << 16;
  const std::uint32_t magnitude = value.bits & 0x7fffu;
  const std::uint32_t normal = (magnitude << 13) + (112u << 23);
  const std::uint32_t special = (magnitude << 13) | 0x7f800000u;
  // Below 2^-14 the value is magnitude * 2^-24, a normal float.
  const std::uint32_t small = bits_of(static_cast<float>(static_cast<std::int32_t>(magnitude)) * 5.9604644775390625e-8f);
  const std::uint32_t finite = magnitude < 0x0400u ? small : normal;
  return float_of(sign | (magnitude >= 0x7c00u ? special : finite));
}

PANTHER_HOST_DEVICE inline F16 to_f16(float value) {
  const std::uint32_t bits = bits_of(value);
  const std::uint32_t sign = (bits >> 16) & 0x8000u;
  const std::uint32_t magnitude = bits & 0x7fffffffu;
  const std::uint32_t normal = (magnitude + 0xc8000fffu + ((magnitude >> 13) & 1u)) >> 13;
  // The sum with 0.5, whose last place is 2^-24, rounds a value below 2^-14 where f16's subnormals stand.
  const std::uint32_t small = bits_of(float_of(magnitude < 0x38800000u ? magnitude : 0u) + 0.5f) - 0x3f000000u;
  const std::uint32_t payload = (magnitude >> 13) & 0x3ffu;
  const std::uint32_t nan = 0x7c00u | (payload != 0 ? payload : 0x200u);
  const std::uint32_t finite = magnitude < 0x38800000u ? small : normal;
  const std::uint32_t special = magnitude > 0x7f800000u ? nan : 0x7c00u;
  return {static_cast<std::uint16_t>(sign | (magnitude >= 0x47800000u ? special : finite))};
}

/// f64 to f32 with an odd last bit when inexact, so that a second rounding to 16 bits is as if done once.
PANTHER_HOST_DEVICE inline float to_float_odd(double value) {
  const float nearest = static_cast<float>(value);
  const double back = nearest;
  if (back == value || value != value) return nearest;
  const double up = back < 0 ? -back : back;
  const double exact = value < 0 ? -value : value;
  const std::uint32_t toward_zero = bits_of(nearest) - (up > exact ? 1u : 0u);
  return float_of(toward_zero | 1u);
}

}  // namespace panther
