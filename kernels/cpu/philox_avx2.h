#pragma once
// Philox with AVX2's 32 x 32 -> 64 bit multiplications, which compilers do not find. philox_avx2.cpp or no_philox_avx2.cpp, chosen by CMake.
#include "kernels/cpu/philox_lanes.h"

namespace panther::cpu {

/// As philox_lanes(); false, with nothing written, on a processor without AVX2.
bool philox_lanes_avx2(SignKey key, RandomDomain domain, const std::uint32_t* block, const std::uint32_t* vector, std::uint32_t (*words)[kLanes]);

}  // namespace panther::cpu
