#include <algorithm>

#include "kernels/check_arguments.h"
#include "kernels/cpu/entries.h"
#include "kernels/cpu/parallel.h"
#include "kernels/cpu/sign_bits.h"
#include "kernels/cpu/vectorised.h"
#include "kernels/element/sign.h"

namespace panther::cpu {
namespace {

constexpr std::int64_t kVectors = 16;    // of one task
constexpr std::int64_t kElements = 2048;
constexpr std::int64_t kBlocks = kElements / 128 + 1;

/// out[i * stride] = scale with the sign of bit `first_bit + i`.
template <class T>
PANTHER_VECTORISED void expand_row(const std::uint32_t* bits, std::int64_t first_bit, std::int64_t count, T scale, T* out, std::int64_t stride) {
  std::int64_t i = 0;
  const auto single = [&] {
    const std::int64_t bit = first_bit + i;
    out[i * stride] = with_sign(scale, (bits[bit / 32] >> (bit % 32)) & 1u);
    ++i;
  };
  while (i < count && (first_bit + i) % 32 != 0) single();
  if (stride == 1) {
    for (; i + 32 <= count; i += 32) {
      const std::uint32_t word = bits[(first_bit + i) / 32];
      for (std::uint32_t j = 0; j < 32; ++j) out[i + j] = with_sign(scale, (word >> j) & 1u);
    }
  }
  while (i < count) single();
}

template <class T>
void expand(SignKey key, std::int64_t first_vector, std::int64_t first_element, double scale, const TensorView& out_VE) {
  const std::int64_t vectors = out_VE.shape[0], elements = out_VE.shape[1];
  const std::int64_t row_tasks = (vectors + kVectors - 1) / kVectors, column_tasks = (elements + kElements - 1) / kElements;
  const T value = convert<T>(scale);
  parallel_for(row_tasks * column_tasks, vectors * elements, [&](std::int64_t index) {
    const std::int64_t vector = index / column_tasks * kVectors, element = index % column_tasks * kElements;
    const std::int64_t rows = std::min(kVectors, vectors - vector), columns = std::min(kElements, elements - element);
    const std::int64_t start = first_element + element, first_block = start / 128;
    const std::int64_t blocks = (start + columns - 1) / 128 - first_block + 1;
    std::uint32_t bits[kVectors * kBlocks * 4];
    sign_bits(key, first_vector + vector, rows, first_block, blocks, bits);
    for (std::int64_t v = 0; v < rows; ++v) {
      T* row = out_VE.as<T>() + (vector + v) * out_VE.strides[0] + element * out_VE.strides[1];
      expand_row(bits + v * blocks * 4, start % 128, columns, value, row, out_VE.strides[1]);
    }
  });
}

}  // namespace

void sign_expand(SignKey key, std::int64_t first_vector, std::int64_t first_element, double scale, const TensorView& out_VE, Stream) {
  check::sign_expand(first_vector, first_element, out_VE);
  if (out_VE.numel() == 0) return;
  switch (out_VE.dtype) {
    case DType::f64: return expand<double>(key, first_vector, first_element, scale, out_VE);
    case DType::f32: return expand<float>(key, first_vector, first_element, scale, out_VE);
    case DType::bf16: return expand<Bf16>(key, first_vector, first_element, scale, out_VE);
    case DType::f16: return expand<F16>(key, first_vector, first_element, scale, out_VE);
    case DType::i64: case DType::i32: case DType::u8: return;
  }
}

}  // namespace panther::cpu
