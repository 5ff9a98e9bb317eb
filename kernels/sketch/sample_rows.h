#pragma once
// Sampling without replacement by counters.
#include <cstdint>
#include <vector>

#include "kernels/export.h"
#include "kernels/sketch/signs.h"

namespace panther {

/// The first `count` places of a random permutation of [0, size): steps of a Fisher-Yates shuffle, step t from the 64-bit number in words
/// 0 and 1 of the Philox block with counter {t, 0, epoch, samples}. Exactly uniform up to 2^-64 a step; a larger count only
/// appends. O(count) time and memory whatever the size. Requires 0 <= count <= size <= 2^32.
PANTHER_KERNELS_API std::vector<std::int64_t> sample_without_replacement(SignKey key, std::int64_t size, std::int64_t count);

}  // namespace panther
