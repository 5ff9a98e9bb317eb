#pragma once
// Small square transpositions of contiguous elements, for whoever repacks a matrix.
#include <cstdint>

namespace panther::cpu {

template <class T> struct Four;
template <> struct Four<double> {
  typedef double type __attribute__((vector_size(32)));
  typedef double unaligned __attribute__((vector_size(32), aligned(8), may_alias));
};
template <> struct Four<float> {
  typedef float type __attribute__((vector_size(16)));
  typedef float unaligned __attribute__((vector_size(16), aligned(4), may_alias));
};

/// destination[i * destination_stride + j] = source[j * source_stride + i] for i, j < 4.
template <class T>
[[gnu::always_inline]] inline void transpose_four(const T* source, std::int64_t source_stride, T* destination, std::int64_t destination_stride) {
  using Vector = typename Four<T>::type;
  using Loose = typename Four<T>::unaligned;
  const Vector r0 = *reinterpret_cast<const Loose*>(source), r1 = *reinterpret_cast<const Loose*>(source + source_stride);
  const Vector r2 = *reinterpret_cast<const Loose*>(source + 2 * source_stride), r3 = *reinterpret_cast<const Loose*>(source + 3 * source_stride);
  const Vector low01 = __builtin_shufflevector(r0, r1, 0, 4, 2, 6), high01 = __builtin_shufflevector(r0, r1, 1, 5, 3, 7);
  const Vector low23 = __builtin_shufflevector(r2, r3, 0, 4, 2, 6), high23 = __builtin_shufflevector(r2, r3, 1, 5, 3, 7);
  *reinterpret_cast<Loose*>(destination) = __builtin_shufflevector(low01, low23, 0, 1, 4, 5);
  *reinterpret_cast<Loose*>(destination + destination_stride) = __builtin_shufflevector(high01, high23, 0, 1, 4, 5);
  *reinterpret_cast<Loose*>(destination + 2 * destination_stride) = __builtin_shufflevector(low01, low23, 2, 3, 6, 7);
  *reinterpret_cast<Loose*>(destination + 3 * destination_stride) = __builtin_shufflevector(high01, high23, 2, 3, 6, 7);
}

}  // namespace panther::cpu
