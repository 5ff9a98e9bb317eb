#pragma once
// A uniform value of variance 1 from a random word; the same bits on every device (one exact step and one rounded product).
#include <cstdint>

#include "kernels/philox.h"

namespace panther {

/// sqrt(3) (2 u - 1) with u = uniform_open(word): symmetric, never 0, 2^23 values. Entry i of vector j comes from word i % 4 of the
/// Philox block with counter {i / 4, j, epoch, uniform}.
PANTHER_HOST_DEVICE inline float uniform_unit_variance(std::uint32_t word) { return (2.0f * uniform_open(word) - 1.0f) * 1.7320508075688772f; }

}  // namespace panther
