#pragma once
// Random vectors by counter, for directions that must start somewhere.
#include <cstdint>

#include "kernels/philox.h"

namespace panther {

/// Element i of vector `column` at `step`: uniform in (-1/2, 1/2).
PANTHER_HOST_DEVICE inline float random_direction(std::uint64_t key, std::int64_t step, std::int64_t column, std::int64_t i) {
  const auto at = static_cast<std::uint64_t>(step);
  const PhiloxBlock block = philox({{static_cast<std::uint32_t>(i / 4), static_cast<std::uint32_t>(column), static_cast<std::uint32_t>(at),
                                     static_cast<std::uint32_t>(at >> 32)}}, PhiloxKey::from(key));
  return uniform_open(block.word[i % 4]) - 0.5f;
}

}  // namespace panther
