#pragma once
// Eight codes of one byte each <-> eight codes of `bits` bits in one word, by halving: pairs, quads, all eight. No table, no branch.
#include <cstdint>

#include "kernels/philox.h"

namespace panther {

/// Ones in the low `width` bits of every lane of `lane` bits.
PANTHER_HOST_DEVICE constexpr std::uint64_t lane_mask(int lane, int width) {
  std::uint64_t mask = 0;
  for (int at = 0; at < 64; at += lane) mask |= ((width >= 64 ? ~0ull : (1ull << width) - 1)) << at;
  return mask;
}

/// One halving: the upper half of every lane moves down next to the lower, each `width` bits wide in lanes of `lane` bits.
template <int kLane, int kWidth>
PANTHER_HOST_DEVICE constexpr std::uint64_t squeeze(std::uint64_t x) {
  constexpr std::uint64_t low = lane_mask(kLane, kWidth);
  return (x & low) | ((x >> (kLane / 2 - kWidth)) & (low << kWidth));
}
template <int kLane, int kWidth>
PANTHER_HOST_DEVICE constexpr std::uint64_t spread(std::uint64_t x) {
  constexpr std::uint64_t low = lane_mask(kLane, kWidth);
  return (x & low) | ((x & (low << kWidth)) << (kLane / 2 - kWidth));
}

template <int kBits>
PANTHER_HOST_DEVICE constexpr std::uint64_t pack_eight(std::uint64_t codes) {
  return squeeze<64, 4 * kBits>(squeeze<32, 2 * kBits>(squeeze<16, kBits>(codes)));
}
template <int kBits>
PANTHER_HOST_DEVICE constexpr std::uint64_t unpack_eight(std::uint64_t packed) {
  return spread<16, kBits>(spread<32, 2 * kBits>(spread<64, 4 * kBits>(packed)));
}

}  // namespace panther
