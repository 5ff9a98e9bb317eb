#pragma once
// torch's caching allocator on the device: device_memory.cpp, or no_device_memory.cpp where CUDA is not built.
#include <cstddef>

#include "kernels/stream.h"

namespace panther::runtime {

/// Memory ordered with the stream. Throws c10::OutOfMemoryError.
void* device_allocate(std::size_t bytes, int device_index, Stream stream);
void device_release(void* pointer) noexcept;

}  // namespace panther::runtime
