#pragma once
// A non-owning view of a strided array. The only way kernels and comm see data.
#include <array>
#include <cstdint>
#include <initializer_list>

#include "core/dtype.h"

namespace panther {

enum class DeviceKind : std::uint8_t { cpu, cuda };

struct Device {
  DeviceKind kind = DeviceKind::cpu;
  int index = 0;
  bool operator==(const Device&) const = default;
};

/// Non-owning; up to 8 dimensions; strides in elements. Copying copies the view, never the data. A view of constant
/// data is passed as `const TensorView&` by convention: callees document what they write.
struct TensorView {
  static constexpr int kMaxDims = 8;

  void* data = nullptr;
  DType dtype = DType::f32;
  Device device;
  int dims = 0;
  std::array<std::int64_t, kMaxDims> shape{};
  std::array<std::int64_t, kMaxDims> strides{};

  TensorView() = default;
  /// A contiguous, row-major view.
  TensorView(void* pointer, DType type, std::initializer_list<std::int64_t> sizes, Device where = {})
      : data(pointer), dtype(type), device(where), dims(static_cast<int>(sizes.size())) {
    int d = 0;
    for (const std::int64_t size : sizes) shape[d++] = size;
    std::int64_t stride = 1;
    for (d = dims - 1; d >= 0; --d) {
      strides[d] = stride;
      stride *= shape[d];
    }
  }

  std::int64_t numel() const noexcept {
    std::int64_t count = 1;
    for (int d = 0; d < dims; ++d) count *= shape[d];
    return count;
  }
  std::int64_t bytes() const noexcept { return numel() * static_cast<std::int64_t>(size_of(dtype)); }

  bool is_contiguous() const noexcept {
    std::int64_t expected = 1;
    for (int d = dims - 1; d >= 0; --d) {
      if (shape[d] != 1 && strides[d] != expected) return false;
      expected *= shape[d];
    }
    return true;
  }

  template <class T>
  T* as() const noexcept {
    return static_cast<T*>(data);
  }

  /// Two dimensions swapped; no data moves. Requires dims == 2.
  TensorView transposed() const noexcept {
    TensorView result = *this;
    result.shape[0] = shape[1];
    result.shape[1] = shape[0];
    result.strides[0] = strides[1];
    result.strides[1] = strides[0];
    return result;
  }

  /// Rows (or entries) [begin, begin + count) of dimension 0.
  TensorView slice(std::int64_t begin, std::int64_t count) const noexcept {
    TensorView result = *this;
    result.data = static_cast<char*>(data) + begin * strides[0] * static_cast<std::int64_t>(size_of(dtype));
    result.shape[0] = count;
    return result;
  }

  /// The same contiguous memory as one dimension. Requires is_contiguous().
  TensorView flattened() const noexcept { return TensorView(data, dtype, {numel()}, device); }
};

}  // namespace panther
