#include <algorithm>
#include <bit>

#include "kernels/check_arguments.h"
#include "kernels/cpu/entries.h"
#include "kernels/cpu/parallel.h"
#include "kernels/cpu/vectorised.h"
#include "kernels/element/convert.h"

namespace panther::cpu {
namespace {

constexpr std::int64_t kBlock = 4096;

template <class T>
PANTHER_VECTORISED void sum_block(std::span<const TensorView> sources, std::int64_t first, std::int64_t count, T* destination) {
  using Sum = Accumulator<T>;
  Sum sum[kBlock];
  const T* head = static_cast<const T*>(sources[0].data) + first;
  for (std::int64_t i = 0; i < count; ++i) sum[i] = convert<Sum>(head[i]);
  for (std::size_t s = 1; s < sources.size(); ++s) {
    const T* next = static_cast<const T*>(sources[s].data) + first;
    for (std::int64_t i = 0; i < count; ++i) {
      // Integers wrap around: sums of unsigned values are defined for every input.
      if constexpr (std::is_integral_v<T>) sum[i] = static_cast<Sum>(static_cast<std::uint64_t>(sum[i]) + static_cast<std::uint64_t>(convert<Sum>(next[i])));
      else sum[i] += convert<Sum>(next[i]);
    }
  }
  for (std::int64_t i = 0; i < count; ++i) {
    if constexpr (std::is_integral_v<T>) destination[first + i] = static_cast<T>(sum[i]);
    else destination[first + i] = convert<T>(sum[i]);
  }
}

template <class T>
void sum_all(std::span<const TensorView> sources, const TensorView& destination) {
  const std::int64_t count = destination.numel();
  const auto terms = static_cast<std::int64_t>(sources.size());
  parallel_for((count + kBlock - 1) / kBlock, count * terms, [&](std::int64_t block) {
    sum_block<T>(sources, block * kBlock, std::min(kBlock, count - block * kBlock), destination.as<T>());
  });
}

template <class T>
PANTHER_VECTORISED void scale_block(Accumulator<T> factor, std::int64_t count, T* values) {
  for (std::int64_t i = 0; i < count; ++i) values[i] = convert<T>(factor * convert<Accumulator<T>>(values[i]));
}

template <class T>
void scale_all(double factor, const TensorView& destination) {
  const std::int64_t count = destination.numel();
  parallel_for((count + kBlock - 1) / kBlock, count, [&](std::int64_t block) {
    scale_block<T>(static_cast<Accumulator<T>>(factor), std::min(kBlock, count - block * kBlock), destination.as<T>() + block * kBlock);
  });
}

}  // namespace

void packed_sum(std::span<const TensorView> sources, const TensorView& destination, Stream) {
  check::packed_sum(sources, destination);
  switch (destination.dtype) {
    case DType::f64: return sum_all<double>(sources, destination);
    case DType::f32: return sum_all<float>(sources, destination);
    case DType::bf16: return sum_all<Bf16>(sources, destination);
    case DType::f16: return sum_all<F16>(sources, destination);
    case DType::i64: return sum_all<std::int64_t>(sources, destination);
    case DType::i32: return sum_all<std::int32_t>(sources, destination);
    case DType::u8: return sum_all<std::uint8_t>(sources, destination);
  }
}

void scale(double factor, const TensorView& destination, Stream) {
  check::scale(destination);
  switch (destination.dtype) {
    case DType::f64: return scale_all<double>(factor, destination);
    case DType::f32: return scale_all<float>(factor, destination);
    case DType::bf16: return scale_all<Bf16>(factor, destination);
    case DType::f16: return scale_all<F16>(factor, destination);
    case DType::i64: case DType::i32: case DType::u8: return;
  }
}

}  // namespace panther::cpu
