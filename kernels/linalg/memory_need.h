#pragma once
// Whether there is memory for a piece of work, asked before it begins.
#include <cstdint>
#include <string_view>

#include "kernels/export.h"
#include "kernels/view.h"

namespace panther::linalg {

/// What a new allocation can still get: MemAvailable within the cgroup's limit on the CPU (a very large number where the system does not say),
/// free device memory on CUDA.
PANTHER_KERNELS_API std::int64_t available_bytes(Device device);

/// Throws OutOfMemory naming the work, what it needs and what there is.
PANTHER_KERNELS_API void require_memory(std::string_view work, std::int64_t need_bytes, Device device);

}  // namespace panther::linalg
