#pragma once
// Host arrays of any dtype and layout for the kernel tests: element access as f64, reproducible contents.
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <string>
#include <vector>

#include "kernels/element/convert.h"
#include "kernels/view.h"

namespace panther::test {

inline double load(const void* data, DType dtype, std::int64_t at) {
  switch (dtype) {
    case DType::f64: return static_cast<const double*>(data)[at];
    case DType::f32: return static_cast<const float*>(data)[at];
    case DType::bf16: return to_float(static_cast<const Bf16*>(data)[at]);
    case DType::f16: return to_float(static_cast<const F16*>(data)[at]);
    case DType::i64: return static_cast<double>(static_cast<const std::int64_t*>(data)[at]);
    case DType::i32: return static_cast<const std::int32_t*>(data)[at];
    case DType::u8: return static_cast<const std::uint8_t*>(data)[at];
  }
  return 0;
}

inline void store(void* data, DType dtype, std::int64_t at, double value) {
  switch (dtype) {
    case DType::f64: static_cast<double*>(data)[at] = value; return;
    case DType::f32: static_cast<float*>(data)[at] = static_cast<float>(value); return;
    case DType::bf16: static_cast<Bf16*>(data)[at] = to_bf16(static_cast<float>(value)); return;
    case DType::f16: static_cast<F16*>(data)[at] = to_f16(static_cast<float>(value)); return;
    case DType::i64: static_cast<std::int64_t*>(data)[at] = static_cast<std::int64_t>(value); return;
    case DType::i32: static_cast<std::int32_t*>(data)[at] = static_cast<std::int32_t>(value); return;
    case DType::u8: static_cast<std::uint8_t*>(data)[at] = static_cast<std::uint8_t>(value); return;
  }
}

/// Relative rounding error of one operation in the dtype.
inline double unit_roundoff(DType dtype) {
  switch (dtype) {
    case DType::f64: return 0x1p-53;
    case DType::f32: return 0x1p-24;
    case DType::f16: return 0x1p-11;
    case DType::bf16: return 0x1p-8;
    case DType::i64: case DType::i32: case DType::u8: return 0;
  }
  return 0;
}

/// Uniform in (-1, 1), one Philox stream per seed.
inline double random_value(std::uint64_t seed, std::uint64_t index) {
  const PhiloxBlock block = philox({{static_cast<std::uint32_t>(index), static_cast<std::uint32_t>(index >> 32), 0, 99}}, PhiloxKey::from(seed));
  return 2.0 * (block.word[0] + 0.5) * 0x1p-32 - 1.0;
}

/// How a matrix lies in memory. `padded` leaves gaps after rows, `spread` has no unit stride at all.
enum class Layout { rows, columns, padded, spread };

inline const char* layout_name(Layout layout) {
  switch (layout) {
    case Layout::rows: return "rows";
    case Layout::columns: return "columns";
    case Layout::padded: return "padded";
    case Layout::spread: return "spread";
  }
  return "";
}

struct Array {
  std::vector<std::byte> bytes;
  TensorView view;

  double at(std::int64_t i) const { return load(view.data, view.dtype, i * view.strides[0]); }
  double at(std::int64_t i, std::int64_t j) const { return load(view.data, view.dtype, i * view.strides[0] + j * view.strides[1]); }
  void set(std::int64_t i, double value) { store(view.data, view.dtype, i * view.strides[0], value); }
  void set(std::int64_t i, std::int64_t j, double value) { store(view.data, view.dtype, i * view.strides[0] + j * view.strides[1], value); }

  Array() = default;
  Array(const Array& other) : bytes(other.bytes), view(other.view) { view.data = bytes.data(); }
  Array(Array&& other) noexcept : bytes(std::move(other.bytes)), view(other.view) { view.data = bytes.data(); }
  Array& operator=(Array other) noexcept {
    bytes = std::move(other.bytes);
    view = other.view;
    view.data = bytes.data();
    return *this;
  }
};

inline Array make_vector(DType dtype, std::int64_t size) {
  Array array;
  array.bytes.resize(static_cast<std::size_t>(size) * size_of(dtype) + 8);
  array.view = TensorView(array.bytes.data(), dtype, {size});
  return array;
}

inline Array make_matrix(DType dtype, std::int64_t rows, std::int64_t columns, Layout layout = Layout::rows) {
  Array array;
  std::int64_t row_stride = columns, column_stride = 1;
  if (layout == Layout::columns) row_stride = 1, column_stride = rows;
  if (layout == Layout::padded) row_stride = columns + 3;
  if (layout == Layout::spread) row_stride = 2 * columns + 5, column_stride = 2;
  const std::int64_t extent = rows * columns == 0 ? 0 : (rows - 1) * row_stride + (columns - 1) * column_stride + 1;
  array.bytes.resize(static_cast<std::size_t>(extent) * size_of(dtype) + 8);
  array.view = TensorView(array.bytes.data(), dtype, {rows, columns});
  array.view.strides[0] = row_stride;
  array.view.strides[1] = column_stride;
  return array;
}

/// Every element of the memory (gaps too) random; rounded to the dtype.
inline void fill_random(Array& array, std::uint64_t seed) {
  const std::int64_t count = static_cast<std::int64_t>((array.bytes.size() - 8) / size_of(array.view.dtype));
  for (std::int64_t i = 0; i < count; ++i) {
    const double value = random_value(seed, static_cast<std::uint64_t>(i));
    store(array.view.data, array.view.dtype, i, is_floating(array.view.dtype) ? value : std::floor(100.0 * std::abs(value)));
  }
}

inline Array random_matrix(DType dtype, std::int64_t rows, std::int64_t columns, std::uint64_t seed, Layout layout = Layout::rows) {
  Array array = make_matrix(dtype, rows, columns, layout);
  fill_random(array, seed);
  return array;
}

inline Array random_vector(DType dtype, std::int64_t size, std::uint64_t seed) {
  Array array = make_vector(dtype, size);
  fill_random(array, seed);
  return array;
}

}  // namespace panther::test
