#include <c10/util/Exception.h>

#include <cstdlib>

#include "core/error.h"
#include "runtime/tensor/device_memory.h"
#include "runtime/tensor/view_of.h"

namespace panther::runtime {
namespace {

constexpr std::size_t kAlignment = 256;

class TorchAllocator final : public Allocator {
 public:
  void* allocate(std::size_t bytes, Device device, Stream stream) override {
    if (bytes == 0) return nullptr;
    try {
      if (device.kind == DeviceKind::cuda) return device_allocate(bytes, device.index, stream);
    } catch (const c10::OutOfMemoryError& error) {
      fail(ErrorCode::OutOfMemory, "cannot allocate ", human_bytes(static_cast<double>(bytes)), " on cuda:", device.index, ": ",
           error.what_without_backtrace());
    }
    // torch's own CPU allocator aligns to 64 bytes only.
    void* pointer = std::aligned_alloc(kAlignment, (bytes + kAlignment - 1) / kAlignment * kAlignment);
    if (pointer == nullptr) fail(ErrorCode::OutOfMemory, "cannot allocate ", human_bytes(static_cast<double>(bytes)), " of host memory");
    return pointer;
  }

  void release(void* pointer, Device device, Stream) noexcept override {
    if (pointer == nullptr) return;
    if (device.kind == DeviceKind::cuda) device_release(pointer);
    else std::free(pointer);
  }
};

}  // namespace

Allocator& torch_allocator() {
  static TorchAllocator allocator;
  return allocator;
}

}  // namespace panther::runtime
