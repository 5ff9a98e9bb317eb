#include <immintrin.h>

#include "kernels/cpu/sparse_scatter_steps.h"
#include "kernels/cpu/tile_kernels.h"

// What stands between push and pop may use AVX-512. add_wide_avx512(), which says whether it may be called, stands behind it.
#pragma GCC push_options
#pragma GCC target("avx512f,avx512vl,avx512bw,avx512dq")

namespace panther::cpu {
namespace {

template <class T> struct Line;
template <> struct Line<float> {
  using type = __m512;
  static type load(const float* from) { return _mm512_loadu_ps(from); }
  static void store(float* to, type value) { _mm512_storeu_ps(to, value); }
  static type all(float value) { return _mm512_set1_ps(value); }
};
template <> struct Line<double> {
  using type = __m512d;
  static type load(const double* from) { return _mm512_loadu_pd(from); }
  static void store(double* to, type value) { _mm512_storeu_pd(to, value); }
  static type all(double value) { return _mm512_set1_pd(value); }
};

template <class T, bool weighted>
void add_runs(const PatternChunk& chunk, std::uint32_t first, std::uint32_t last, const T* packed, T* sums, LinesAhead& next) {
  using L = Line<T>;
  constexpr std::int64_t half = kWideLanes<T> / 2;
  LinesAhead ahead = next;
  for (std::uint32_t r = first; r < last; ++r) {
    const PatternRun run = chunk.run[r];
    T* const sum = sums + std::int64_t{run.minor} * kWideLanes<T>;
    typename L::type s0 = L::load(sum), s1 = L::load(sum + half);
    for (std::uint32_t e = run.begin; e < run.end; ++e) {
      const std::uint32_t entry = chunk.entry[e];
      const T* const row = packed + std::int64_t{entry & ~kNegativeEntry} * kWideLanes<T>;
      T value = kSign<T>[entry / kNegativeEntry];
      if constexpr (weighted) value *= static_cast<T>(chunk.magnitude[e]);
      const typename L::type factor = L::all(value);
      s0 += factor * L::load(row);
      s1 += factor * L::load(row + half);
      if ((e & 1u) == 0) ahead.ask();
    }
    L::store(sum, s0);
    L::store(sum + half, s1);
  }
  next = ahead;
}

template <class T>
void add_wide(const PatternChunk& chunk, std::uint32_t first, std::uint32_t last, const T* packed, T* sums, LinesAhead& next) {
  return chunk.magnitude != nullptr ? add_runs<T, true>(chunk, first, last, packed, sums, next) : add_runs<T, false>(chunk, first, last, packed, sums, next);
}

/// A row's piece stays in eight registers while its entries are added: it is read once, and read ahead of its turn.
template <class T, bool weighted>
void add_row_entries(const PatternChunk& chunk, const T* a, std::int64_t stride, T* sums) {
  using L = Line<T>;
  constexpr std::int64_t lanes = kPieceLanes<T> / 8, ahead = 24;
  for (std::uint32_t e = 0; e < chunk.runs;) {
    const std::uint32_t major = chunk.entry[e] & ~kNegativeEntry;
    const T* const row = a + major * stride;
    typename L::type x[8];
#pragma GCC unroll 8
    for (int v = 0; v < 8; ++v) {
      __builtin_prefetch(row + ahead * stride + v * lanes);
      x[v] = L::load(row + v * lanes);
    }
    do {
      const std::uint32_t entry = chunk.entry[e];
      T value = kSign<T>[entry / kNegativeEntry];
      if constexpr (weighted) value *= static_cast<T>(chunk.magnitude[e]);
      const typename L::type factor = L::all(value);
      T* const sum = sums + std::int64_t{chunk.run[e].minor} * kPieceLanes<T>;
#pragma GCC unroll 8
      for (int v = 0; v < 8; ++v) L::store(sum + v * lanes, L::load(sum + v * lanes) + factor * x[v]);
    } while (++e < chunk.runs && (chunk.entry[e] & ~kNegativeEntry) == major);
  }
}

template <class T>
void add_rows(const PatternChunk& chunk, const T* a, std::int64_t stride, T* sums) {
  return chunk.magnitude != nullptr ? add_row_entries<T, true>(chunk, a, stride, sums) : add_row_entries<T, false>(chunk, a, stride, sums);
}

constexpr AddRows<float> kRowsFloat = add_rows<float>;
constexpr AddRows<double> kRowsDouble = add_rows<double>;
constexpr AddWide<float> kFloat = add_wide<float>;
constexpr AddWide<double> kDouble = add_wide<double>;

}  // namespace
#pragma GCC pop_options

AddWide<float> add_wide_avx512(float) noexcept { return tile_processor().avx512 ? kFloat : nullptr; }

AddWide<double> add_wide_avx512(double) noexcept { return tile_processor().avx512 ? kDouble : nullptr; }

AddRows<float> add_rows_avx512(float) noexcept { return tile_processor().avx512 ? kRowsFloat : nullptr; }

AddRows<double> add_rows_avx512(double) noexcept { return tile_processor().avx512 ? kRowsDouble : nullptr; }

}  // namespace panther::cpu
