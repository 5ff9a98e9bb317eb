#pragma once
// How a buffer is divided among ranks.
#include <algorithm>
#include <cstdint>
#include <vector>

namespace panther::comm {

/// Chunk i is the bytes [begin(i), begin(i + 1)).
class Chunks {
 public:
  /// `parts` chunks whose boundaries are multiples of 64 bytes, so that no element of any dtype is cut; sizes differ by at most
  /// 64 bytes.
  static Chunks even(std::int64_t bytes, int parts) {
    Chunks result;
    const std::int64_t units = (bytes + 63) / 64;
    for (int i = 0; i <= parts; ++i) result.begins_.push_back(std::min(bytes, units * i / parts * 64));
    return result;
  }
  /// `parts` chunks of `each` bytes.
  static Chunks equal(std::int64_t each, int parts) {
    Chunks result;
    for (int i = 0; i <= parts; ++i) result.begins_.push_back(each * i);
    return result;
  }
  int parts() const noexcept { return static_cast<int>(begins_.size()) - 1; }
  std::int64_t begin(int i) const noexcept { return begins_[i]; }
  std::int64_t size(int i) const noexcept { return begins_[i + 1] - begins_[i]; }
  std::int64_t bytes() const noexcept { return begins_.back(); }

 private:
  std::vector<std::int64_t> begins_;
};

}  // namespace panther::comm
