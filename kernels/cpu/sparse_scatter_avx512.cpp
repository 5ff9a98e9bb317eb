#include "kernels/cpu/line.h"
#include "kernels/cpu/sparse_scatter_steps.h"
#include "kernels/cpu/tile_kernels.h"

// What stands between push and pop may use AVX-512. add_wide_avx512(), which says whether it may be called, stands behind it.
#pragma GCC push_options
#pragma GCC target("avx512f,avx512vl,avx512bw,avx512dq")

namespace panther::cpu {
namespace {

template <class T, bool weighted>
void add_runs(const PatternChunk& chunk, std::uint32_t first, std::uint32_t last, const T* packed, T* sums, LinesAhead& next) {
  using V = typename Line<T>::loose;
  constexpr std::int64_t half = kWideLanes<T> / 2;
  LinesAhead ahead = next;
  for (std::uint32_t r = first; r < last; ++r) {
    const PatternRun run = chunk.run[r];
    T* const sum = sums + std::int64_t{run.minor} * kWideLanes<T>;
    V s0 = *reinterpret_cast<const V*>(sum), s1 = *reinterpret_cast<const V*>(sum + half);
    for (std::uint32_t e = run.begin; e < run.end; ++e) {
      const std::uint32_t entry = chunk.entry[e];
      const T* const row = packed + std::int64_t{entry & ~kNegativeEntry} * kWideLanes<T>;
      T value = kSign<T>[entry / kNegativeEntry];
      if constexpr (weighted) value *= static_cast<T>(chunk.magnitude[e]);
      s0 += value * *reinterpret_cast<const V*>(row);
      s1 += value * *reinterpret_cast<const V*>(row + half);
      if ((e & 1u) == 0) ahead.ask();
    }
    *reinterpret_cast<V*>(sum) = s0;
    *reinterpret_cast<V*>(sum + half) = s1;
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
  using V = typename Line<T>::loose;
  constexpr std::int64_t lanes = kPieceLanes<T> / 8, ahead = 24;
  for (std::uint32_t e = 0; e < chunk.runs;) {
    const std::uint32_t major = chunk.entry[e] & ~kNegativeEntry;
    const T* const row = a + major * stride;
    V x[8];
#pragma GCC unroll 8
    for (int v = 0; v < 8; ++v) {
      __builtin_prefetch(row + ahead * stride + v * lanes);
      x[v] = *reinterpret_cast<const V*>(row + v * lanes);
    }
    do {
      const std::uint32_t entry = chunk.entry[e];
      T value = kSign<T>[entry / kNegativeEntry];
      if constexpr (weighted) value *= static_cast<T>(chunk.magnitude[e]);
      T* const sum = sums + std::int64_t{chunk.run[e].minor} * kPieceLanes<T>;
#pragma GCC unroll 8
      for (int v = 0; v < 8; ++v) *reinterpret_cast<V*>(sum + v * lanes) += value * x[v];
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
