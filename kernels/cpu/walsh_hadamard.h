#pragma once
// The fast Walsh-Hadamard transform of a tile that lies in memory.
#include <cstdint>

namespace panther::cpu {

/// Of a part that is transformed within the L1 cache.
inline constexpr std::int64_t kLeafBytes = 16 * 1024;

/// tile[rows][lanes] = H tile along rows, unnormalised, in place, one thread. rows and lanes are powers of two, tiles of 32 bytes and more
/// are aligned to 32. Radix-8 passes, depth first, so that every level of cache is used; the additions are those of the plain
/// algorithm that goes from distance 1 upwards, so cutting a transform differently changes no bit.
template <class T>
void walsh_hadamard(T* tile, std::int64_t rows, int lanes);

/// The stages that are left when every aligned part of `done` rows is transformed already.
template <class T>
void walsh_hadamard_above(T* tile, std::int64_t done, std::int64_t rows, int lanes);

}  // namespace panther::cpu
