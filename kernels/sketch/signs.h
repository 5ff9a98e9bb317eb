#pragma once
// Fixed random signs +-1: never stored, the same on every device, rank and thread count.
//
// sign(j, i) of vector j, element i is bit i % 32 of word (i / 32) % 4 of the Philox block with counter
// {i / 128, j, epoch, domain} and the 64-bit key mix64(seed, hash_name(parameter path)); a set bit means -1. Appending
// vectors changes no old sign (prefix-stable).
#include <cstdint>
#include <string_view>

#include "kernels/philox.h"

namespace panther {

/// Stored in every checkpoint manifest; a change of the rule above is a new version.
inline constexpr int kSignGeneratorVersion = 1;

struct SignKey {
  std::uint64_t key = 0;
  std::uint32_t epoch = 0;

  static constexpr SignKey of(std::uint64_t seed, std::string_view path, std::uint32_t epoch = 0) {
    return {mix64(seed, hash_name(path.data(), path.size())), epoch};
  }
};

/// The four words that hold the signs of elements [128 * block, 128 * block + 128) of vector j.
PANTHER_HOST_DEVICE constexpr PhiloxBlock sign_block(SignKey key, std::uint32_t vector, std::uint32_t block) {
  return philox({{block, vector, key.epoch, static_cast<std::uint32_t>(RandomDomain::signs)}}, PhiloxKey::from(key.key));
}

/// True when sign(j, i) is -1. For tests and edges; bulk code walks blocks.
PANTHER_HOST_DEVICE constexpr bool sign_is_negative(SignKey key, std::uint32_t vector, std::uint32_t element) {
  const PhiloxBlock block = sign_block(key, vector, element / 128);
  return (block.word[(element / 32) % 4] >> (element % 32)) & 1u;
}

}  // namespace panther
