#pragma once
// Small host arrays on the device for the length of one call.
#include <cstring>
#include <span>
#include <vector>

#include "kernels/allocator.h"
#include "kernels/cuda/check.h"

namespace panther::cuda {

/// Arrays of 8-byte elements, copied in one piece. The host's are free again when add() and send() have returned.
class Upload {
 public:
  /// Returns the array's place; at() gives its address after send().
  template <class T>
  std::size_t add(std::span<const T> values) {
    static_assert(sizeof(T) == 8);
    const std::size_t place = staged_.size();
    staged_.resize(place + values.size());
    if (!values.empty()) std::memcpy(staged_.data() + place, values.data(), values.size_bytes());
    return place;
  }

  std::size_t bytes() const { return staged_.size() * 8; }

  /// `memory` holds bytes(). From pageable memory: the call returns when the source has been read.
  void send(void* memory, Stream stream) {
    memory_ = memory;
    if (!staged_.empty()) check_status(cudaMemcpyAsync(memory, staged_.data(), bytes(), cudaMemcpyHostToDevice, native(stream)), "cudaMemcpyAsync");
  }

  template <class T>
  const T* at(std::size_t place) const { return reinterpret_cast<const T*>(static_cast<const std::byte*>(memory_) + place * 8); }

 private:
  std::vector<std::uint64_t> staged_;
  void* memory_ = nullptr;
};

}  // namespace panther::cuda
