#include "kernels/cpu/walsh_hadamard.h"

#include <algorithm>

#include "kernels/cpu/vectorised.h"

namespace panther::cpu {
namespace {

template <class T> struct Wide;
template <> struct Wide<double> { typedef double type __attribute__((vector_size(32), may_alias)); };
template <> struct Wide<float> { typedef float type __attribute__((vector_size(32), may_alias)); };

/// Elements that the vector stages leave to scalar ones: distances below it.
template <class T> inline constexpr std::int64_t kVector = 32 / static_cast<std::int64_t>(sizeof(T));

template <class V>
[[gnu::always_inline]] inline void butterfly(V& a, V& b) {
  const V sum = a + b;
  b = a - b;
  a = sum;
}

/// log2(radix) stages over radix rows of `stride` vectors.
template <int radix, class V>
[[gnu::always_inline]] inline void step(V* x, std::int64_t stride) {
  for (std::int64_t v = 0; v < stride; ++v) {
    V r[radix];
    for (int i = 0; i < radix; ++i) r[i] = x[v + i * stride];
    for (int distance = 1; distance < radix; distance *= 2) {
#pragma GCC unroll 8
      for (int i = 0; i < radix; ++i) {
        if ((i & distance) == 0) butterfly(r[i], r[i + distance]);
      }
    }
    for (int i = 0; i < radix; ++i) x[v + i * stride] = r[i];
  }
}

/// Stages of distances from, 2 from, ... below `to` elements, all at least a vector.
template <class T>
PANTHER_VECTORISED void vector_stages(T* data, std::int64_t total, std::int64_t from, std::int64_t to) {
  using V = typename Wide<T>::type;
  V* x = reinterpret_cast<V*>(data);
  const std::int64_t vectors = total / kVector<T>, end = to / kVector<T>;
  for (std::int64_t stride = from / kVector<T>; stride < end;) {
    const std::int64_t radix = end / stride >= 8 ? 8 : end / stride;
    for (std::int64_t base = 0; base < vectors; base += radix * stride) {
      if (radix == 8) step<8>(x + base, stride);
      else if (radix == 4) step<4>(x + base, stride);
      else step<2>(x + base, stride);
    }
    stride *= radix;
  }
}

/// Stages of distances below a vector.
template <class T>
PANTHER_VECTORISED void scalar_stages(T* data, std::int64_t total, std::int64_t from, std::int64_t to) {
  for (std::int64_t distance = from; distance < to; distance *= 2) {
    for (std::int64_t base = 0; base < total; base += 2 * distance) {
      for (std::int64_t i = base; i < base + distance; ++i) butterfly(data[i], data[i + distance]);
    }
  }
}

template <class T>
void stages(T* data, std::int64_t total, std::int64_t from, std::int64_t to) {
  const std::int64_t middle = std::clamp(kVector<T>, from, to);
  if (from < middle) scalar_stages(data, total, from, middle);
  if (middle < to) vector_stages(data, total, middle, to);
}

template <class T>
void transform(T* data, std::int64_t total, std::int64_t lanes) {
  const std::int64_t leaves = total * static_cast<std::int64_t>(sizeof(T)) / kLeafBytes;
  if (leaves <= 1) return stages(data, total, lanes, total);
  const std::int64_t parts = std::min<std::int64_t>(8, leaves), part = total / parts;
  for (std::int64_t p = 0; p < parts; ++p) transform(data + p * part, part, lanes);
  stages(data, total, part, total);
}

}  // namespace

template <class T>
void walsh_hadamard(T* tile, std::int64_t rows, int lanes) {
  transform(tile, rows * lanes, lanes);
}

template <class T>
void walsh_hadamard_above(T* tile, std::int64_t done, std::int64_t rows, int lanes) {
  stages(tile, rows * lanes, done * lanes, rows * lanes);
}

template void walsh_hadamard<float>(float*, std::int64_t, int);
template void walsh_hadamard<double>(double*, std::int64_t, int);
template void walsh_hadamard_above<float>(float*, std::int64_t, std::int64_t, int);
template void walsh_hadamard_above<double>(double*, std::int64_t, std::int64_t, int);

}  // namespace panther::cpu
