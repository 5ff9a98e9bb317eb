#pragma once
// Whether there is memory for a piece of work, asked before it begins.
#include <cstdint>
#include <string_view>

#include "kernels/linalg/context.h"

namespace panther::linalg {

/// What a new allocation can still get: MemAvailable within the cgroup's limit on the CPU (a very large number where the system does not say),
/// free device memory on CUDA.
PANTHER_KERNELS_API std::int64_t available_bytes(Device device);

/// Throws OutOfMemory naming the work, what it needs and what there is. Every rank calls it, and when one lacks memory all throw: a rank that
/// went on alone would wait in its next sum for ever. The needs may differ.
PANTHER_KERNELS_API void require_memory(const Context& context, std::string_view work, double need_bytes, Device device);

}  // namespace panther::linalg
