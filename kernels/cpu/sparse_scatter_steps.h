#pragma once
// The inner step of the scatter product over wide strips, of which processors with AVX-512 have a form of their own.
#include <cstdint>

#include "kernels/cpu/pattern_chunk.h"
#include "kernels/cpu/strips.h"

namespace panther::cpu {

/// The lines of the next piece of a, asked for one by one while the present piece is added up: memory and arithmetic then work at once.
/// Runs of `run_bytes` contiguous bytes lie `step_bytes` apart.
struct LinesAhead {
  const char* run = nullptr;
  std::int64_t run_bytes = 0, step_bytes = 0, runs = 0, at = 0;

  [[gnu::always_inline]] void ask() {
    if (runs == 0) return;
    __builtin_prefetch(run + at, 0, 2);
    at += 64;
    if (at < run_bytes) return;
    at = 0;
    run += step_bytes;
    --runs;
  }
};

/// By the sign bit: a branch on it would be mispredicted every other time.
template <class T> inline constexpr T kSign[2] = {1, -1};

/// sums[minor][128 bytes] += the rows of packed[major][128 bytes] that runs [first, last) name, magnitudes included.
template <class T>
using AddWide = void (*)(const PatternChunk& chunk, std::uint32_t first, std::uint32_t last, const T* packed, T* sums, LinesAhead& next);

/// Columns of a piece of RowScatter: half a KiB.
template <class T> inline constexpr std::int64_t kPieceLanes = 512 / static_cast<std::int64_t>(sizeof(T));

/// sums[minor][kPieceLanes] += the entries of an unsorted chunk, whose rows of kPieceLanes contiguous elements begin at `a` and lie `stride` apart.
template <class T>
using AddRows = void (*)(const PatternChunk& chunk, const T* a, std::int64_t stride, T* sums);

/// The same sums in the same order; nullptr where this processor has not the instructions. sparse_scatter_avx512.cpp or
/// no_sparse_scatter_avx512.cpp, chosen by CMake.
AddWide<float> add_wide_avx512(float) noexcept;
AddWide<double> add_wide_avx512(double) noexcept;
AddRows<float> add_rows_avx512(float) noexcept;
AddRows<double> add_rows_avx512(double) noexcept;

}  // namespace panther::cpu
