#include "kernels/cpu/philox_lanes.h"

#include "kernels/cpu/philox_avx2.h"
#include "kernels/cpu/vectorised.h"

namespace panther::cpu {
namespace {

PANTHER_VECTORISED void plain_lanes(SignKey key, RandomDomain domain, const std::uint32_t* block, const std::uint32_t* vector,
                                    std::uint32_t (*words)[kLanes]) {
  alignas(64) std::uint32_t w0[kLanes], w1[kLanes], w2[kLanes], w3[kLanes];
  for (int i = 0; i < kLanes; ++i) {
    w0[i] = block[i];
    w1[i] = vector[i];
    w2[i] = key.epoch;
    w3[i] = static_cast<std::uint32_t>(domain);
  }
  PhiloxKey round_key = PhiloxKey::from(key.key);
  for (int round = 0; round < 10; ++round) {
    // Unrolled whole before it is vectorised, this loop would stay scalar.
#pragma GCC unroll 1
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
    words[0][i] = w0[i];
    words[1][i] = w1[i];
    words[2][i] = w2[i];
    words[3][i] = w3[i];
  }
}

}  // namespace

void philox_lanes(SignKey key, RandomDomain domain, const std::uint32_t* block, const std::uint32_t* vector, std::uint32_t (*words)[kLanes]) {
  if (!philox_lanes_avx2(key, domain, block, vector, words)) plain_lanes(key, domain, block, vector, words);
}

}  // namespace panther::cpu
