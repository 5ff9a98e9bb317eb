#pragma once
// Buffers of any dtype whose values say which rank and element they came from, small enough to be exact in every dtype.
#include <cstdint>
#include <vector>

#include "kernels/element/half.h"
#include "kernels/view.h"

namespace panther::comm::testing {

inline constexpr DType kAllDTypes[] = {DType::f64, DType::f32, DType::bf16, DType::f16, DType::i64, DType::i32, DType::u8};

/// A host array of `count` elements of `dtype`, read and written as doubles.
class Values {
 public:
  Values(DType dtype, std::int64_t count) : dtype_(dtype), count_(count), bytes_(static_cast<std::size_t>(count) * size_of(dtype) + 1) {}

  TensorView view() { return TensorView(bytes_.data(), dtype_, {count_}); }
  /// Elements [begin, begin + count).
  TensorView part(std::int64_t begin, std::int64_t count) { return view().slice(begin, count); }
  std::int64_t count() const { return count_; }
  const std::vector<std::byte>& bytes() const { return bytes_; }

  void set(std::int64_t i, double value) {
    switch (dtype_) {
      case DType::f64: as<double>()[i] = value; return;
      case DType::f32: as<float>()[i] = static_cast<float>(value); return;
      case DType::bf16: as<Bf16>()[i] = to_bf16(static_cast<float>(value)); return;
      case DType::f16: as<F16>()[i] = to_f16(static_cast<float>(value)); return;
      case DType::i64: as<std::int64_t>()[i] = static_cast<std::int64_t>(value); return;
      case DType::i32: as<std::int32_t>()[i] = static_cast<std::int32_t>(value); return;
      case DType::u8: as<std::uint8_t>()[i] = static_cast<std::uint8_t>(value); return;
    }
  }

  double at(std::int64_t i) {
    switch (dtype_) {
      case DType::f64: return as<double>()[i];
      case DType::f32: return as<float>()[i];
      case DType::bf16: return to_float(as<Bf16>()[i]);
      case DType::f16: return to_float(as<F16>()[i]);
      case DType::i64: return static_cast<double>(as<std::int64_t>()[i]);
      case DType::i32: return as<std::int32_t>()[i];
      case DType::u8: return as<std::uint8_t>()[i];
    }
    return 0;
  }

  template <class Function>
  Values& fill(const Function& value_of) {
    for (std::int64_t i = 0; i < count_; ++i) set(i, value_of(i));
    return *this;
  }

  /// The first element that differs from value_of(i), or -1.
  template <class Function>
  std::int64_t first_wrong(const Function& value_of) {
    for (std::int64_t i = 0; i < count_; ++i) {
      if (at(i) != value_of(i)) return i;
    }
    return -1;
  }

 private:
  template <class T>
  T* as() {
    return reinterpret_cast<T*>(bytes_.data());
  }

  DType dtype_;
  std::int64_t count_;
  std::vector<std::byte> bytes_;
};

/// Element i of rank r: sums over up to 7 ranks stay below 256.
inline double coded(int rank, std::int64_t i) { return static_cast<double>((rank + 1) * (i % 9 + 1)); }
inline double coded_sum(int ranks, std::int64_t i) { return static_cast<double>(ranks * (ranks + 1) / 2 * (i % 9 + 1)); }
/// Which rank holds the smallest and the largest value changes from element to element.
inline double scrambled(int rank, std::int64_t i) { return static_cast<double>((rank * 7 + i * 5 + rank * i) % 97); }

}  // namespace panther::comm::testing
