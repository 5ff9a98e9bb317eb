#include <algorithm>

#include "kernels/check_arguments.h"
#include "kernels/cpu/entries.h"
#include "kernels/cpu/parallel.h"
#include "kernels/cpu/vectorised.h"
#include "kernels/element/convert.h"
#include "kernels/strided_pair.h"

namespace panther::cpu {
namespace {

constexpr std::int64_t kChunk = 16 * 1024;

using CastRow = void (*)(const void* source, std::int64_t source_stride, void* destination, std::int64_t destination_stride, std::int64_t count);

template <class S, class D>
PANTHER_VECTORISED void cast_floating(const void* source, std::int64_t source_stride, void* destination, std::int64_t destination_stride,
                                      std::int64_t count) {
  const S* from = static_cast<const S*>(source);
  D* to = static_cast<D*>(destination);
  if (source_stride == 1 && destination_stride == 1) {
    for (std::int64_t i = 0; i < count; ++i) to[i] = convert<D>(from[i]);
  } else {
    for (std::int64_t i = 0; i < count; ++i) to[i * destination_stride] = convert<D>(from[i * source_stride]);
  }
}

/// Pairs with an integer type: rare, so not compiled per processor.
template <class S, class D>
void cast_integral(const void* source, std::int64_t source_stride, void* destination, std::int64_t destination_stride, std::int64_t count) {
  const S* from = static_cast<const S*>(source);
  D* to = static_cast<D*>(destination);
  for (std::int64_t i = 0; i < count; ++i) to[i * destination_stride] = convert<D>(from[i * source_stride]);
}

template <class S, class D>
CastRow row_of() {
  if constexpr (std::is_integral_v<S> || std::is_integral_v<D>) return cast_integral<S, D>;
  else return cast_floating<S, D>;
}

template <class S>
CastRow row_to(DType destination) {
  switch (destination) {
    case DType::f64: return row_of<S, double>();
    case DType::f32: return row_of<S, float>();
    case DType::bf16: return row_of<S, Bf16>();
    case DType::f16: return row_of<S, F16>();
    case DType::i64: return row_of<S, std::int64_t>();
    case DType::i32: return row_of<S, std::int32_t>();
    case DType::u8: return row_of<S, std::uint8_t>();
  }
  return nullptr;
}

CastRow row_for(DType source, DType destination) {
  switch (source) {
    case DType::f64: return row_to<double>(destination);
    case DType::f32: return row_to<float>(destination);
    case DType::bf16: return row_to<Bf16>(destination);
    case DType::f16: return row_to<F16>(destination);
    case DType::i64: return row_to<std::int64_t>(destination);
    case DType::i32: return row_to<std::int32_t>(destination);
    case DType::u8: return row_to<std::uint8_t>(destination);
  }
  return nullptr;
}

}  // namespace

void cast(const TensorView& source, const TensorView& destination, Stream) {
  check::cast(source, destination);
  if (source.numel() == 0) return;
  StridedPair pair = merge_dims(source, destination);
  if (pair.dims == 0) pair = {1, {1}, {1}, {1}};
  const int inner = pair.dims - 1;
  const std::int64_t inner_size = pair.shape[inner];
  const std::int64_t chunks = (inner_size + kChunk - 1) / kChunk;
  const std::int64_t rows = source.numel() / inner_size;
  const CastRow row = row_for(source.dtype, destination.dtype);
  const auto source_size = static_cast<std::int64_t>(size_of(source.dtype)), destination_size = static_cast<std::int64_t>(size_of(destination.dtype));
  parallel_for(rows * chunks, source.numel(), [&](std::int64_t index) {
    const std::int64_t first = index % chunks * kChunk;
    std::int64_t from = first * pair.first[inner], to = first * pair.second[inner];
    std::int64_t rest = index / chunks;
    for (int d = inner - 1; d >= 0; --d) {
      from += rest % pair.shape[d] * pair.first[d];
      to += rest % pair.shape[d] * pair.second[d];
      rest /= pair.shape[d];
    }
    row(static_cast<const char*>(source.data) + from * source_size, pair.first[inner], static_cast<char*>(destination.data) + to * destination_size,
        pair.second[inner], std::min(kChunk, inner_size - first));
  });
}

}  // namespace panther::cpu
