#pragma once
// Memory that kernels and exchanges need for a while. Kernels allocate nothing themselves: a workspace query says how
// much, an injected allocator provides it (torch's caching one in the runtime).
#include <cstddef>
#include <span>

#include "kernels/export.h"
#include "kernels/stream.h"
#include "kernels/view.h"

namespace panther {

class PANTHER_KERNELS_API Allocator {
 public:
  virtual ~Allocator();
  /// At least `bytes`, aligned to 256, ordered with `stream`. Throws OutOfMemory naming size and device.
  virtual void* allocate(std::size_t bytes, Device device, Stream stream) = 0;
  virtual void release(void* pointer, Device device, Stream stream) noexcept = 0;
};

/// Aligned malloc on the CPU, plain device allocation on CUDA; for tests, tools and set-up.
PANTHER_KERNELS_API Allocator& plain_allocator();

/// Owns one block of an allocator for a scope.
class Workspace {
 public:
  Workspace(Allocator& allocator, std::size_t bytes, Device device, Stream stream)
      : allocator_(allocator), device_(device), stream_(stream), bytes_(bytes),
        data_(bytes == 0 ? nullptr : allocator.allocate(bytes, device, stream)) {}
  ~Workspace() { if (data_ != nullptr) allocator_.release(data_, device_, stream_); }
  Workspace(const Workspace&) = delete;
  Workspace& operator=(const Workspace&) = delete;
  void* data() const noexcept { return data_; }
  std::size_t bytes() const noexcept { return bytes_; }

 private:
  Allocator& allocator_;
  Device device_;
  Stream stream_;
  std::size_t bytes_;
  void* data_;
};

}  // namespace panther
