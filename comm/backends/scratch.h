#pragma once
// Host memory that a backend keeps from call to call.
#include <cstddef>
#include <memory>

namespace panther::comm {

class Scratch {
 public:
  /// At least `bytes`; the contents of earlier calls are lost.
  std::byte* at_least(std::size_t bytes) {
    if (bytes > size_) {
      data_ = std::make_unique_for_overwrite<std::byte[]>(bytes);
      size_ = bytes;
    }
    return data_.get();
  }
  /// Leaks the memory: a message may still be written into it.
  void abandon() noexcept {
    static_cast<void>(data_.release());
    size_ = 0;
  }

 private:
  std::unique_ptr<std::byte[]> data_;
  std::size_t size_ = 0;
};

}  // namespace panther::comm
