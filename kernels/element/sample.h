#pragma once
// Stratified sampling by counter: of every group of `stride` consecutive elements one is chosen.
#include <cstdint>

#include "kernels/philox.h"

namespace panther {

/// Place of the chosen element within group `group` of `size` elements (below 2^31); uniform up to 2^-32 size.
PANTHER_HOST_DEVICE inline std::int64_t sample_place(std::uint64_t key, std::uint64_t step, std::int64_t group, std::int64_t size) {
  const auto at = static_cast<std::uint64_t>(group);
  const PhiloxBlock block = philox({{static_cast<std::uint32_t>(at), static_cast<std::uint32_t>(at >> 32), static_cast<std::uint32_t>(step),
                                     static_cast<std::uint32_t>(step >> 32)}}, PhiloxKey::from(key));
  return static_cast<std::int64_t>((static_cast<std::uint64_t>(block.word[0]) * static_cast<std::uint64_t>(size)) >> 32);
}

}  // namespace panther
