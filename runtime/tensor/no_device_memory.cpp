#include "core/error.h"
#include "kernels/kernel_set.h"
#include "runtime/tensor/device_memory.h"

namespace panther::runtime {

void* device_allocate(std::size_t, int, Stream) { fail(ErrorCode::Unsupported, "no device memory: ", why_no_cuda()); }

void device_release(void*) noexcept {}

}  // namespace panther::runtime
