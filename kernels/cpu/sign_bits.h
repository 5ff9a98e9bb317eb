#pragma once
// Whole Philox blocks of sign bits, many counters at a time.
#include <cstdint>

#include "kernels/sketch/signs.h"

namespace panther::cpu {

/// bits[v][4 * blocks]: word w of vector first_vector + v holds elements 128 * first_block + 32 w .. + 31; a set bit is -1.
void sign_bits(SignKey key, std::int64_t first_vector, std::int64_t vectors, std::int64_t first_block, std::int64_t blocks, std::uint32_t* bits);

}  // namespace panther::cpu
