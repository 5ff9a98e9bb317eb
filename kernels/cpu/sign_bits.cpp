#include "kernels/cpu/sign_bits.h"

#include <algorithm>

#include "kernels/cpu/vectorised.h"

namespace panther::cpu {
namespace {

constexpr int kLanes = 16;

/// As philox() over kLanes counters {block[i], vector[i], epoch, signs}; words go to bits[4 i .. 4 i + 3].
PANTHER_VECTORISED void philox_lanes(SignKey key, const std::uint32_t* block, const std::uint32_t* vector, std::uint32_t* bits) {
  alignas(64) std::uint32_t w0[kLanes], w1[kLanes], w2[kLanes], w3[kLanes];
  for (int i = 0; i < kLanes; ++i) {
    w0[i] = block[i];
    w1[i] = vector[i];
    w2[i] = key.epoch;
    w3[i] = static_cast<std::uint32_t>(RandomDomain::signs);
  }
  PhiloxKey round_key = PhiloxKey::from(key.key);
  for (int round = 0; round < 10; ++round) {
    for (int i = 0; i < kLanes; ++i) {
      const std::uint64_t product0 = 0xD2511F53ull * w0[i];
      const std::uint64_t product1 = 0xCD9E8D57ull * w2[i];
      w0[i] = static_cast<std::uint32_t>(product1 >> 32) ^ w1[i] ^ round_key.low;
      w1[i] = static_cast<std::uint32_t>(product1);
      w2[i] = static_cast<std::uint32_t>(product0 >> 32) ^ w3[i] ^ round_key.high;
      w3[i] = static_cast<std::uint32_t>(product0);
    }
    round_key.low += 0x9E3779B9u;
    round_key.high += 0xBB67AE85u;
  }
  for (int i = 0; i < kLanes; ++i) {
    bits[4 * i] = w0[i];
    bits[4 * i + 1] = w1[i];
    bits[4 * i + 2] = w2[i];
    bits[4 * i + 3] = w3[i];
  }
}

}  // namespace

void sign_bits(SignKey key, std::int64_t first_vector, std::int64_t vectors, std::int64_t first_block, std::int64_t blocks, std::uint32_t* bits) {
  const std::int64_t total = vectors * blocks;
  std::uint32_t block[kLanes], vector[kLanes], tail[4 * kLanes];
  for (std::int64_t first = 0; first < total; first += kLanes) {
    for (int i = 0; i < kLanes; ++i) {
      const std::int64_t index = std::min(first + i, total - 1);
      block[i] = static_cast<std::uint32_t>(first_block + index % blocks);
      vector[i] = static_cast<std::uint32_t>(first_vector + index / blocks);
    }
    if (first + kLanes <= total) {
      philox_lanes(key, block, vector, bits + 4 * first);
    } else {
      philox_lanes(key, block, vector, tail);
      std::copy(tail, tail + 4 * (total - first), bits + 4 * first);
    }
  }
}

}  // namespace panther::cpu
