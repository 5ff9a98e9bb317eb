#pragma once
// The entries of a few hundred major vectors of a sparse pattern, ordered so that a product walks them with its sums in registers.
#include <cstdint>

#include "kernels/sketch/sparse_kernels.h"

namespace panther::cpu {

/// Entries [begin, end) of a chunk all go to one minor place (relative to the window).
struct PatternRun {
  std::uint32_t minor = 0;
  std::uint32_t begin = 0, end = 0;
};

/// An entry's major vector relative to the chunk, its sign in the top bit.
inline constexpr std::uint32_t kNegativeEntry = 0x80000000u;

/// Filled by make_chunk() into memory of chunk_bytes(); valid while that memory is.
struct PatternChunk {
  const std::uint32_t* entry = nullptr;
  const double* magnitude = nullptr;  ///< null when every magnitude is 1
  const PatternRun* run = nullptr;
  std::uint32_t runs = 0;
  bool sorted = false;  ///< runs are in ascending order of minor places, one for each place
};

/// Memory for a chunk of so many major vectors, scratch included.
std::int64_t chunk_bytes(const SparsePattern& pattern, std::int64_t majors, std::int64_t minors);

/// The entries of major vectors first .. first + majors that fall into minor places [first_minor, first_minor + minors). Within a run
/// they stand in ascending order of major vectors. Sorted when the places are few enough for it to pay and `by_place`; else a run for each entry, in
/// order of major vectors.
PatternChunk make_chunk(const SparsePattern& pattern, std::int64_t first, std::int64_t majors, std::int64_t first_minor, std::int64_t minors,
                        std::byte* memory, bool by_place = true);

/// Draws of up to kLanes major vectors: bits[lane * stride + t], stride = draws rounded up to even.
void pattern_draws(SignKey key, std::int64_t first_major, std::int64_t majors, int draws, std::uint64_t* bits);

}  // namespace panther::cpu
