#pragma once
// A factor's rows on the device: numbers, bits, or nothing but a key. Signs come 32 to a word.
#include "kernels/cuda/device.cuh"
#include "kernels/linear/linear_kernels.h"

namespace panther::cuda {

template <class T>
struct DevicePart {
  const T* stored;
  std::int64_t row_stride, element_stride;
  const std::uint32_t* bits;
  std::int64_t word_stride;
  SignKey key;
};

template <class T>
struct DeviceRows {
  DevicePart<T> top, bottom;
  std::int64_t top_rows, rows;

  __device__ const DevicePart<T>& part(std::int64_t row) const { return row < top_rows ? top : bottom; }
  __device__ std::int64_t place(std::int64_t row) const { return row < top_rows ? row : row - top_rows; }
  __device__ bool is_stored(std::int64_t row) const { return part(row).stored != nullptr; }
  __device__ Accumulator<T> stored(std::int64_t row, std::int64_t element) const {
    const DevicePart<T>& p = part(row);
    return convert<Accumulator<T>>(p.stored[place(row) * p.row_stride + element * p.element_stride]);
  }
  /// The four words of elements [128 block, 128 block + 128) of a row of signs.
  __device__ PhiloxBlock words(std::int64_t row, std::int64_t block) const {
    const DevicePart<T>& p = part(row);
    if (p.bits == nullptr) return sign_block(p.key, static_cast<std::uint32_t>(place(row)), static_cast<std::uint32_t>(block));
    PhiloxBlock result;
    for (int w = 0; w < 4; ++w) result.word[w] = p.bits[place(row) * p.word_stride + 4 * block + w];
    return result;
  }
};

template <class T>
DevicePart<T> device_part(const ValueRows& rows) {
  return {rows.stored_NL.as<const T>(), rows.stored_NL.strides[0], rows.stored_NL.strides[1], rows.bits_NW.as<const std::uint32_t>(), rows.bits_NW.strides[0],
          rows.key};
}

template <class T>
DeviceRows<T> device_rows(const StackedRows& rows) {
  return {device_part<T>(rows.top), device_part<T>(rows.bottom), rows.top.rows, rows.rows()};
}

}  // namespace panther::cuda
