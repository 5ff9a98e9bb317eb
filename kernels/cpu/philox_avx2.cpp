#include "kernels/cpu/philox_avx2.h"

#include <immintrin.h>

// What stands between push and pop may use AVX2. philox_lanes_avx2(), which asks, stands behind it: it runs on processors without AVX.
#pragma GCC push_options
#pragma GCC target("avx2")

namespace panther::cpu {
namespace {

/// Four counters, one 32-bit word in the low half of each 64-bit lane; the upper halves hold leftovers that no multiplication reads.
struct Counters {
  __m256i word[4];
};

inline void rounds(Counters* groups, PhiloxKey key) {
  const __m256i multiplier0 = _mm256_set1_epi64x(0xD2511F53), multiplier1 = _mm256_set1_epi64x(0xCD9E8D57);
  for (int round = 0; round < 10; ++round) {
    const __m256i low = _mm256_set1_epi64x(key.low), high = _mm256_set1_epi64x(key.high);
#pragma GCC unroll 4
    for (int g = 0; g < 4; ++g) {
      __m256i* w = groups[g].word;
      const __m256i product0 = _mm256_mul_epu32(multiplier0, w[0]), product1 = _mm256_mul_epu32(multiplier1, w[2]);
      w[0] = _mm256_xor_si256(_mm256_xor_si256(_mm256_srli_epi64(product1, 32), w[1]), low);
      w[2] = _mm256_xor_si256(_mm256_xor_si256(_mm256_srli_epi64(product0, 32), w[3]), high);
      w[1] = product1;
      w[3] = product0;
    }
    key.low += 0x9E3779B9u;
    key.high += 0xBB67AE85u;
  }
}

void lanes(SignKey key, RandomDomain domain, const std::uint32_t* block, const std::uint32_t* vector, std::uint32_t (*words)[kLanes]) {
  Counters groups[4];
  for (int g = 0; g < 4; ++g) {
    groups[g].word[0] = _mm256_cvtepu32_epi64(_mm_loadu_si128(reinterpret_cast<const __m128i*>(block + 4 * g)));
    groups[g].word[1] = _mm256_cvtepu32_epi64(_mm_loadu_si128(reinterpret_cast<const __m128i*>(vector + 4 * g)));
    groups[g].word[2] = _mm256_set1_epi64x(key.epoch);
    groups[g].word[3] = _mm256_set1_epi64x(static_cast<std::uint32_t>(domain));
  }
  rounds(groups, PhiloxKey::from(key.key));
  const __m256i even = _mm256_setr_epi32(0, 2, 4, 6, 0, 2, 4, 6);
  for (int g = 0; g < 4; ++g) {
    for (int w = 0; w < 4; ++w) {
      const __m256i packed = _mm256_permutevar8x32_epi32(groups[g].word[w], even);
      _mm_storeu_si128(reinterpret_cast<__m128i*>(words[w] + 4 * g), _mm256_castsi256_si128(packed));
    }
  }
}

}  // namespace
#pragma GCC pop_options

bool philox_lanes_avx2(SignKey key, RandomDomain domain, const std::uint32_t* block, const std::uint32_t* vector, std::uint32_t (*words)[kLanes]) {
  static const bool supported = __builtin_cpu_supports("avx2") != 0;
  if (supported) lanes(key, domain, block, vector, words);
  return supported;
}

}  // namespace panther::cpu
