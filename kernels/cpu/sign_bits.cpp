#include "kernels/cpu/sign_bits.h"

#include <algorithm>

#include "kernels/cpu/philox_lanes.h"

namespace panther::cpu {

void sign_bits(SignKey key, std::int64_t first_vector, std::int64_t vectors, std::int64_t first_block, std::int64_t blocks, std::uint32_t* bits) {
  const std::int64_t total = vectors * blocks;
  alignas(64) std::uint32_t block[kLanes], vector[kLanes], words[4][kLanes];
  for (std::int64_t first = 0; first < total; first += kLanes) {
    for (int i = 0; i < kLanes; ++i) {
      const std::int64_t index = std::min(first + i, total - 1);
      block[i] = static_cast<std::uint32_t>(first_block + index % blocks);
      vector[i] = static_cast<std::uint32_t>(first_vector + index / blocks);
    }
    philox_lanes(key, RandomDomain::signs, block, vector, words);
    for (std::int64_t i = 0; i < std::min<std::int64_t>(kLanes, total - first); ++i) {
      for (int w = 0; w < 4; ++w) bits[4 * (first + i) + w] = words[w][i];
    }
  }
}

}  // namespace panther::cpu
