#pragma once
// Philox4x32-10 (Salmon et al., SC'11): 128-bit counter and 64-bit key to four 32-bit words. The same code runs on the
// host and in CUDA kernels, so every device and rank sees the same bits.
#include <array>
#include <cstdint>

#if defined(__CUDACC__)
#define PANTHER_HOST_DEVICE __host__ __device__
#else
#define PANTHER_HOST_DEVICE
#endif

namespace panther {

struct PhiloxBlock {
  std::uint32_t word[4];
};

struct PhiloxKey {
  std::uint32_t low = 0;
  std::uint32_t high = 0;
  PANTHER_HOST_DEVICE static constexpr PhiloxKey from(std::uint64_t key) {
    return {static_cast<std::uint32_t>(key), static_cast<std::uint32_t>(key >> 32)};
  }
};

/// One block of four words; ten rounds.
PANTHER_HOST_DEVICE constexpr PhiloxBlock philox(PhiloxBlock counter, PhiloxKey key) {
  for (int round = 0; round < 10; ++round) {
    const std::uint64_t product0 = 0xD2511F53ull * counter.word[0];
    const std::uint64_t product1 = 0xCD9E8D57ull * counter.word[2];
    counter = {{static_cast<std::uint32_t>(product1 >> 32) ^ counter.word[1] ^ key.low, static_cast<std::uint32_t>(product1),
                static_cast<std::uint32_t>(product0 >> 32) ^ counter.word[3] ^ key.high, static_cast<std::uint32_t>(product0)}};
    key.low += 0x9E3779B9u;
    key.high += 0xBB67AE85u;
  }
  return counter;
}

/// The finaliser of SplitMix64 (Steele, Lea, Flood 2014) over a combination of two values.
PANTHER_HOST_DEVICE constexpr std::uint64_t mix64(std::uint64_t a, std::uint64_t b) {
  std::uint64_t z = a + 0x9E3779B97F4A7C15ull * (b + 1);
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ull;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBull;
  return z ^ (z >> 31);
}

/// FNV-1a, 64 bits, of a name (parameter paths, purposes).
constexpr std::uint64_t hash_name(const char* text, std::size_t length) {
  std::uint64_t hash = 0xcbf29ce484222325ull;
  for (std::size_t i = 0; i < length; ++i) hash = (hash ^ static_cast<unsigned char>(text[i])) * 0x100000001b3ull;
  return hash;
}

/// What the fourth counter word says a stream is for; two purposes never share counters.
enum class RandomDomain : std::uint32_t { signs = 1, init = 2, sampler = 3, dropout = 4, generate = 5, synthetic = 6, split = 7, gaussian = 8, uniform = 9,
                                         hashes = 10, samples = 11 };

/// Uniform in (0, 1): 23 bits and a half, exact in f32, so never 0 and never 1.
PANTHER_HOST_DEVICE constexpr float uniform_open(std::uint32_t word) {
  return (static_cast<float>(word >> 9) + 0.5f) * 1.1920928955078125e-7f;
}

}  // namespace panther
