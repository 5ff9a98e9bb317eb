#include "kernels/allocator.h"

#include <cstdlib>

#include "core/error.h"
#include "core/text.h"
#include "kernels/cuda/device_memory.h"

namespace panther {
namespace {

constexpr std::size_t kAlignment = 256;

class PlainAllocator final : public Allocator {
 public:
  void* allocate(std::size_t bytes, Device device, Stream stream) override {
    if (device.kind == DeviceKind::cuda) return device_allocate(bytes, device.index, stream);
    const std::size_t rounded = (bytes + kAlignment - 1) / kAlignment * kAlignment;
    void* data = rounded < bytes ? nullptr : std::aligned_alloc(kAlignment, rounded == 0 ? kAlignment : rounded);
    if (data == nullptr) fail(ErrorCode::OutOfMemory, "could not allocate ", human_bytes(static_cast<double>(bytes)), " on the CPU");
    return data;
  }

  void release(void* pointer, Device device, Stream stream) noexcept override {
    if (device.kind == DeviceKind::cuda) return device_release(pointer, device.index, stream);
    std::free(pointer);
  }
};

}  // namespace

Allocator::~Allocator() = default;

Allocator& plain_allocator() {
  static PlainAllocator allocator;
  return allocator;
}

}  // namespace panther
