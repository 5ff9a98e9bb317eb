#pragma once
// Philox over sixteen counters at a time.
#include <cstdint>

#include "kernels/sketch/signs.h"

namespace panther::cpu {

inline constexpr int kLanes = 16;

/// words[w][lane] = component w of philox({block[lane], vector[lane], key.epoch, domain}, key.key).
void philox_lanes(SignKey key, RandomDomain domain, const std::uint32_t* block, const std::uint32_t* vector, std::uint32_t (*words)[kLanes]);

}  // namespace panther::cpu
