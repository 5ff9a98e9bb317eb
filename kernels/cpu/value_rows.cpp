#include "kernels/cpu/value_rows.h"

#include <algorithm>

#include "kernels/cpu/sign_bits.h"
#include "kernels/cpu/vectorised.h"
#include "kernels/element/sign.h"

namespace panther::cpu {
namespace {

constexpr std::int64_t kWords = 1024;  // of one batch of generated signs

const ValueRows& part_of(const StackedRows& rows, std::int64_t row) { return row < rows.top.rows ? rows.top : rows.bottom; }

template <class T, class S>
PANTHER_VECTORISED void convert_row(const S* source, std::int64_t stride, std::int64_t length, T* out) {
  if (stride == 1) {
    for (std::int64_t e = 0; e < length; ++e) out[e] = convert<T>(source[e]);
  } else {
    for (std::int64_t e = 0; e < length; ++e) out[e] = convert<T>(source[e * stride]);
  }
}

template <class T>
void copy_stored(const TensorView& stored, std::int64_t row, std::int64_t first, std::int64_t length, T* out) {
  const std::int64_t at = row * stored.strides[0] + first * stored.strides[1];
  switch (stored.dtype) {
    case DType::f64: return convert_row(stored.as<const double>() + at, stored.strides[1], length, out);
    case DType::f32: return convert_row(stored.as<const float>() + at, stored.strides[1], length, out);
    case DType::bf16: return convert_row(stored.as<const Bf16>() + at, stored.strides[1], length, out);
    case DType::f16: return convert_row(stored.as<const F16>() + at, stored.strides[1], length, out);
    case DType::i64: case DType::i32: case DType::u8: return;
  }
}

/// out[e] = +-1 by bit first_bit + e; first_bit is a multiple of 32.
template <class T>
PANTHER_VECTORISED void expand_words(const std::uint32_t* words, std::int64_t length, T* out) {
  std::int64_t e = 0;
  for (; e + 32 <= length; e += 32) {
    const std::uint32_t word = words[e / 32];
    for (std::uint32_t j = 0; j < 32; ++j) out[e + j] = with_sign(T{1}, (word >> j) & 1u);
  }
  for (; e < length; ++e) out[e] = with_sign(T{1}, (words[e / 32] >> (e % 32)) & 1u);
}

template <class T>
void make_signs(SignKey key, std::int64_t vector, std::int64_t count, std::int64_t first, std::int64_t length, T* out, std::int64_t out_stride) {
  const std::int64_t block = first / 128, blocks = (first + length - 1) / 128 - block + 1, skipped = (first - 128 * block) / 32;
  const std::int64_t batch = kWords / (4 * blocks);
  std::uint32_t words[kWords];
  for (std::int64_t v = 0; v < count; v += batch) {
    const std::int64_t now = std::min(batch, count - v);
    sign_bits(key, vector + v, now, block, blocks, words);
    for (std::int64_t i = 0; i < now; ++i) expand_words(words + i * 4 * blocks + skipped, length, out + (v + i) * out_stride);
  }
}

template <class T>
void fetch(const ValueRows& rows, std::int64_t row, std::int64_t count, std::int64_t first, std::int64_t length, T* out, std::int64_t out_stride) {
  if (rows.stored_NL.data == nullptr && rows.bits_NW.data == nullptr) return make_signs(rows.key, row, count, first, length, out, out_stride);
  for (std::int64_t i = 0; i < count; ++i) {
    if (rows.stored_NL.data != nullptr) {
      copy_stored(rows.stored_NL, row + i, first, length, out + i * out_stride);
    } else {
      expand_words(rows.bits_NW.as<const std::uint32_t>() + (row + i) * rows.bits_NW.strides[0] + first / 32, length, out + i * out_stride);
    }
  }
}

}  // namespace

template <class T>
const T* stored_row(const StackedRows& rows, std::int64_t row, std::int64_t first) {
  const ValueRows& part = part_of(rows, row);
  const TensorView& stored = part.stored_NL;
  if (stored.data == nullptr || stored.dtype != (sizeof(T) == 8 ? DType::f64 : DType::f32) || stored.strides[1] != 1) return nullptr;
  return stored.as<const T>() + (&part == &rows.top ? row : row - rows.top.rows) * stored.strides[0] + first;
}

template <class T>
void fetch_rows(const StackedRows& rows, std::int64_t row, std::int64_t count, std::int64_t first, std::int64_t length, T* out,
                std::int64_t out_stride) {
  const std::int64_t above = std::clamp<std::int64_t>(rows.top.rows - row, 0, count);
  if (above > 0) fetch(rows.top, row, above, first, length, out, out_stride);
  if (count > above) fetch(rows.bottom, row + above - rows.top.rows, count - above, first, length, out + above * out_stride, out_stride);
}

template const float* stored_row<float>(const StackedRows&, std::int64_t, std::int64_t);
template const double* stored_row<double>(const StackedRows&, std::int64_t, std::int64_t);
template void fetch_rows<float>(const StackedRows&, std::int64_t, std::int64_t, std::int64_t, std::int64_t, float*, std::int64_t);
template void fetch_rows<double>(const StackedRows&, std::int64_t, std::int64_t, std::int64_t, std::int64_t, double*, std::int64_t);

}  // namespace panther::cpu
