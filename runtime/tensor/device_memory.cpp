#include "runtime/tensor/device_memory.h"

#include <c10/core/DeviceGuard.h>
#include <c10/cuda/CUDACachingAllocator.h>

#include "core/log.h"

namespace panther::runtime {

void* device_allocate(std::size_t bytes, int device_index, Stream stream) {
  const c10::DeviceGuard guard(c10::Device(c10::kCUDA, static_cast<c10::DeviceIndex>(device_index)));
  return c10::cuda::CUDACachingAllocator::raw_alloc_with_stream(bytes, static_cast<cudaStream_t>(stream.native));
}

void device_release(void* pointer) noexcept {
  try {
    c10::cuda::CUDACachingAllocator::raw_delete(pointer);
  } catch (const std::exception& error) {
    log_warn("device_release_failed", {{"what", error.what()}});
  }
}

}  // namespace panther::runtime
