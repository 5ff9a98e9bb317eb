#include "runtime/tensor/torch_error.h"

#include <string_view>

namespace panther::runtime {

namespace {

/// torch's CPU allocator and its wrappers of CUDA's libraries have no type of their own for this.
bool says_out_of_memory(std::string_view message) {
  for (const std::string_view words : {"DefaultCPUAllocator: can't allocate memory", "CUDA error: out of memory", "_STATUS_ALLOC_FAILED"}) {
    if (message.find(words) != message.npos) return true;
  }
  return false;
}

}  // namespace

Error error_from(const c10::Error& error) {
  const std::string_view message = error.what_without_backtrace();
  if (dynamic_cast<const c10::OutOfMemoryError*>(&error) != nullptr || says_out_of_memory(message)) {
    return Error(ErrorCode::OutOfMemory, concat("memory ran out: ", message, "\nuse a smaller train.global_batch, data.seq_len or model, more ranks, or train.accumulate; "
                                                "--dry-run estimates what a rank needs"));
  }
  if (dynamic_cast<const c10::AcceleratorError*>(&error) != nullptr) return Error(ErrorCode::DeviceFault, std::string(message));
  return Error(ErrorCode::Internal, error.what());
}

}  // namespace panther::runtime
