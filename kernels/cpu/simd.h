#pragma once
// 256-bit vectors for micro-kernels. The same width in every clone of PANTHER_VECTORISED, so that sums have one order everywhere.
#include <cstring>

namespace panther::cpu {

template <class T> struct SimdOf;
template <> struct SimdOf<float> { typedef float type __attribute__((vector_size(32))); };
template <> struct SimdOf<double> { typedef double type __attribute__((vector_size(32))); };
template <class T> using Simd = typename SimdOf<T>::type;
template <class T> inline constexpr int kSimd = 32 / static_cast<int>(sizeof(T));

template <class T>
[[gnu::always_inline]] inline void load(Simd<T>& to, const T* from) { std::memcpy(&to, from, sizeof to); }
template <class T>
[[gnu::always_inline]] inline void store(T* to, const Simd<T>& from) { std::memcpy(to, &from, sizeof from); }

}  // namespace panther::cpu
