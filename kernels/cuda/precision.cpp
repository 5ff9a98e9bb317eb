#include "kernels/cuda/precision.h"

#include <atomic>

namespace panther {
namespace {
std::atomic<bool> allow_tf32{false};
}

void set_cuda_tf32(bool allow) noexcept { allow_tf32.store(allow, std::memory_order_relaxed); }
bool cuda_tf32() noexcept { return allow_tf32.load(std::memory_order_relaxed); }

}  // namespace panther
