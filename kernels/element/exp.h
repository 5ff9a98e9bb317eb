#pragma once
// An exponential without a branch or a table, so that loops over it become vector code.
#include <bit>
#include <cstdint>

namespace panther {

/// exp(-u) for u >= 0, relative error below 2e-7; u above 87 counts as 87, nan stays nan.
inline float exp_minus(float u) {
  const float x = u > 87.0f ? -87.0f : -u;
  constexpr float kRound = 12582912.0f;  // 1.5 * 2^23: adding it leaves the nearest integer in the low bits
  const float shifted = x * 1.44269504f + kRound;
  const float n = shifted - kRound;
  const float r = (x - n * 0.693145752f) - n * 1.42860677e-6f;
  const float tail = 1.0f / 2 + r * (1.0f / 6 + r * (1.0f / 24 + r * (1.0f / 120 + r * (1.0f / 720))));
  const float p = 1.0f + (r + r * r * tail);
  const std::uint32_t exponent = (std::bit_cast<std::uint32_t>(shifted) + 127u) << 23;
  return p * std::bit_cast<float>(exponent);
}

}  // namespace panther
