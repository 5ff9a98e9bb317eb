#pragma once
// Where a count sketch puts a block of elements, the same on every processor.
#include "kernels/pack/pack_kernels.h"

namespace panther {

/// Key of a row's signs; its places take another.
PANTHER_HOST_DEVICE inline std::uint64_t count_sketch_row_key(const CountSketch& sketch, int row) {
  return mix64(mix64(sketch.key, sketch.step), static_cast<std::uint64_t>(2 * row));
}

/// Which of `places` a block goes to; `key` is the row's.
PANTHER_HOST_DEVICE inline std::int64_t count_sketch_place(std::uint64_t key, std::int64_t block, std::int64_t places) {
  const std::uint64_t hash = mix64(key ^ 0x9e3779b97f4a7c15ull, static_cast<std::uint64_t>(block));
  return static_cast<std::int64_t>(((hash >> 32) * static_cast<std::uint64_t>(places)) >> 32);
}

PANTHER_HOST_DEVICE inline float median_of_3(float a, float b, float c) {
  const float low = a < b ? a : b, high = a < b ? b : a, cut = high < c ? high : c;
  return low < cut ? cut : low;
}

/// The median of value(0) to value(kRows - 1).
template <int kRows, class Value>
PANTHER_HOST_DEVICE inline float count_sketch_median(Value&& value) {
  if constexpr (kRows == 1) return value(0);
  else if constexpr (kRows == 3) return median_of_3(value(0), value(1), value(2));
  else {
    // Of five: the largest and the smallest of two pairs fall away.
    const float a = value(0), b = value(1), c = value(2), d = value(3);
    const float low_ab = a < b ? a : b, low_cd = c < d ? c : d, high_ab = a < b ? b : a, high_cd = c < d ? d : c;
    return median_of_3(value(4), low_ab < low_cd ? low_cd : low_ab, high_ab < high_cd ? high_ab : high_cd);
  }
}

}  // namespace panther
