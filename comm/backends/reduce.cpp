#include "comm/backends/reduce.h"

#include <algorithm>
#include <cstring>
#include <type_traits>

#include "core/error.h"
#include "kernels/cpu/vectorised.h"
#include "kernels/element/half.h"

namespace panther::comm {
namespace {

template <class T>
auto widened(T value) {
  if constexpr (std::is_same_v<T, Bf16> || std::is_same_v<T, F16>) {
    return to_float(value);
  } else {
    return value;
  }
}

struct Sum {
  template <class T>
  T operator()(T a, T b) const {
    if constexpr (std::is_integral_v<T>) {
      using Unsigned = std::make_unsigned_t<T>;
      return static_cast<T>(static_cast<Unsigned>(static_cast<Unsigned>(a) + static_cast<Unsigned>(b)));
    } else {
      return a + b;
    }
  }
};

/// A nan on either side is the result: it compares false with everything, itself included.
struct Min {
  template <class T>
  T operator()(T a, T b) const {
    return widened(a) < widened(b) || widened(a) != widened(a) ? a : b;
  }
};

struct Max {
  template <class T>
  T operator()(T a, T b) const {
    return widened(a) > widened(b) || widened(a) != widened(a) ? a : b;
  }
};

template <class T, class Op>
void loop(void* into, const void* from, std::int64_t bytes, Op op) {
  T* __restrict to = static_cast<T*>(into);
  const T* __restrict source = static_cast<const T*>(from);
  const std::int64_t count = bytes / static_cast<std::int64_t>(sizeof(T));
  for (std::int64_t i = 0; i < count; ++i) to[i] = op(to[i], source[i]);
}

template <class Op>
void over_wide_types(void* into, const void* from, std::int64_t bytes, DType dtype, Op op) {
  switch (dtype) {
    case DType::f64: return loop<double>(into, from, bytes, op);
    case DType::f32: return loop<float>(into, from, bytes, op);
    case DType::i64: return loop<std::int64_t>(into, from, bytes, op);
    case DType::i32: return loop<std::int32_t>(into, from, bytes, op);
    case DType::u8: return loop<std::uint8_t>(into, from, bytes, op);
    case DType::bf16:
    case DType::f16: break;
  }
  PANTHER_CHECK(false, "pairwise sum of ", dtype_name(dtype));
}

template <class Op>
void over_all_types(void* into, const void* from, std::int64_t bytes, DType dtype, Op op) {
  if (dtype == DType::bf16) return loop<Bf16>(into, from, bytes, op);
  if (dtype == DType::f16) return loop<F16>(into, from, bytes, op);
  over_wide_types(into, from, bytes, dtype, op);
}

// Blocks that stay in the first-level cache.
constexpr std::int64_t kBlock = 4096;

template <class T>
inline void add_widened(float* __restrict total, const T* __restrict source, std::int64_t count) {
  for (std::int64_t i = 0; i < count; ++i) total[i] += to_float(source[i]);
}

PANTHER_VECTORISED void add_bf16(float* total, const void* source, std::int64_t count) {
  add_widened(total, static_cast<const Bf16*>(source), count);
}
PANTHER_VECTORISED void add_f16(float* total, const void* source, std::int64_t count) {
  add_widened(total, static_cast<const F16*>(source), count);
}
PANTHER_VECTORISED void round_bf16(void* into, const float* total, std::int64_t count) {
  for (std::int64_t i = 0; i < count; ++i) static_cast<Bf16*>(into)[i] = to_bf16(total[i]);
}
PANTHER_VECTORISED void round_f16(void* into, const float* total, std::int64_t count) {
  for (std::int64_t i = 0; i < count; ++i) static_cast<F16*>(into)[i] = to_f16(total[i]);
}

/// On the calling thread alone: the threads of the compute kernels are busy with the backward pass meanwhile.
void sum_halves(std::span<const void* const> sources, void* into, std::int64_t bytes, DType dtype) {
  const bool bf16 = dtype == DType::bf16;
  for (std::int64_t at = 0; at < bytes; at += 2 * kBlock) {
    const std::int64_t count = std::min(kBlock, (bytes - at) / 2);
    alignas(64) float total[kBlock] = {};
    for (const void* source : sources) (bf16 ? add_bf16 : add_f16)(total, static_cast<const std::byte*>(source) + at, count);
    (bf16 ? round_bf16 : round_f16)(static_cast<std::byte*>(into) + at, total, count);
  }
}

}  // namespace

void reduce_into(void* into, const void* from, std::int64_t bytes, DType dtype, ReduceOp op) {
  switch (op) {
    case ReduceOp::sum: return over_wide_types(into, from, bytes, dtype, Sum{});
    case ReduceOp::min: return over_all_types(into, from, bytes, dtype, Min{});
    case ReduceOp::max: return over_all_types(into, from, bytes, dtype, Max{});
  }
}

void reduce_ordered(std::span<const void* const> sources, void* into, std::int64_t bytes, DType dtype, ReduceOp op) {
  if (bytes == 0) return;
  if (needs_wide_sum(dtype, op)) return sum_halves(sources, into, bytes, dtype);
  // The running value is kept apart because `into` may be a later source.
  constexpr std::int64_t kBytes = 4 * kBlock;
  alignas(64) std::byte running[kBytes];
  for (std::int64_t at = 0; at < bytes; at += kBytes) {
    const std::int64_t size = std::min(kBytes, bytes - at);
    std::memcpy(running, static_cast<const std::byte*>(sources.front()) + at, static_cast<std::size_t>(size));
    for (const void* source : sources.subspan(1)) reduce_into(running, static_cast<const std::byte*>(source) + at, size, dtype, op);
    std::memcpy(static_cast<std::byte*>(into) + at, running, static_cast<std::size_t>(size));
  }
}

}  // namespace panther::comm
