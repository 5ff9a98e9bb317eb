#pragma once
// Random signs for compression: a word of 64 by counter, cheap enough for every gradient of every step.
#include <cstdint>

#include "kernels/element/half.h"
#include "kernels/philox.h"

namespace panther {

inline constexpr std::int64_t kSignWord = 64;

/// Signs of elements [64 word, 64 word + 64): bit i of the result is element i's. mix64 is a full-avalanche mixer, which is enough where no
/// statistics of signs are promised beyond pairwise independence in practice.
PANTHER_HOST_DEVICE inline std::uint64_t sign_word(std::uint64_t key, std::int64_t word) { return mix64(key, static_cast<std::uint64_t>(word)); }

/// -v where bit `i` of `signs` is set.
PANTHER_HOST_DEVICE inline float flip_by(float v, std::uint64_t signs, int i) { return float_of(bits_of(v) ^ static_cast<std::uint32_t>(signs >> i) << 31); }
/// v with the sign that element `i` has.
PANTHER_HOST_DEVICE inline float flip_sign(float v, std::uint64_t key, std::int64_t i) {
  return flip_by(v, sign_word(key, i / kSignWord), static_cast<int>(i % kSignWord));
}

/// out[i] = -in[i] where bit i of `signs` is set; at most 64.
[[gnu::always_inline]] inline void flip_signs(const float* in, float* out, std::int64_t count, std::uint64_t signs) {
  const std::uint32_t halves[2] = {static_cast<std::uint32_t>(signs), static_cast<std::uint32_t>(signs >> 32)};
  for (std::int64_t begin = 0; begin < count; begin += 32) {
    const std::uint32_t half = halves[begin / 32];
    const std::int64_t end = count - begin < 32 ? count - begin : 32;
    for (std::int64_t i = 0; i < end; ++i) {
      out[begin + i] = float_of(bits_of(in[begin + i]) ^ (half << (31 - static_cast<std::uint32_t>(i)) & 0x80000000u));
    }
  }
}

}  // namespace panther
