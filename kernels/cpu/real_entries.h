#pragma once
// Gaussian and uniform entries of a dense sketch, many at a time.
#include <cstdint>

#include "kernels/sketch/dense_kernels.h"

namespace panther::cpu {

/// out[i] = entry (vector, first_element + i), absolute indices; the window's offsets are the caller's. Not for signs.
void real_entries_along(const DenseSketch& sketch, std::int64_t vector, std::int64_t first_element, std::int64_t count, float* out);

/// out[w][lane] = entry (first_vector + lane, 4 * block + w) for sixteen vectors.
void real_entries_across(const DenseSketch& sketch, std::int64_t first_vector, std::int64_t block, float (*out)[16]);

}  // namespace panther::cpu
