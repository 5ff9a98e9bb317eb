#include "kernels/cpu/dot_product.h"

#include <algorithm>

#include "kernels/cpu/parallel.h"
#include "kernels/cpu/simd.h"
#include "kernels/cpu/vectorised.h"

namespace panther::cpu {
namespace {

constexpr int kRows = 3, kColumns = 4;  // sums of a micro-kernel: 12 of 16 registers
/// Of a task; its blocks (48 + 64 rows of 2 KiB) stay in the second-level cache, 8 columns' rows and 3 rows' in the first.
constexpr std::int64_t kTaskRows = 48, kTaskColumns = 64, kDepthBytes = 2048, kGroup = 8;
template <class T> inline constexpr std::int64_t kDepth = kDepthBytes / static_cast<std::int64_t>(sizeof(T));
/// Batches up to this read stored rows where they lie: each is used too seldom to pay for its copy.
constexpr std::int64_t kDirectRows = 12;

/// folded[0 .. 3] = the sums of the lanes of a, b, c and d. By reference: a vector argument's ABI would depend on the clone.
[[gnu::always_inline]] inline void fold(const Simd<float>& a, const Simd<float>& b, const Simd<float>& c, const Simd<float>& d, Simd<float>& folded) {
  const Simd<float> ab = __builtin_shufflevector(a, b, 0, 8, 2, 10, 4, 12, 6, 14) + __builtin_shufflevector(a, b, 1, 9, 3, 11, 5, 13, 7, 15);
  const Simd<float> cd = __builtin_shufflevector(c, d, 0, 8, 2, 10, 4, 12, 6, 14) + __builtin_shufflevector(c, d, 1, 9, 3, 11, 5, 13, 7, 15);
  const Simd<float> halves = __builtin_shufflevector(ab, cd, 0, 1, 8, 9, 4, 5, 12, 13) + __builtin_shufflevector(ab, cd, 2, 3, 10, 11, 6, 7, 14, 15);
  folded = halves + __builtin_shufflevector(halves, halves, 4, 5, 6, 7, 0, 1, 2, 3);
}

[[gnu::always_inline]] inline void fold(const Simd<double>& a, const Simd<double>& b, const Simd<double>& c, const Simd<double>& d, Simd<double>& folded) {
  const Simd<double> ab = __builtin_shufflevector(a, b, 0, 4, 2, 6) + __builtin_shufflevector(a, b, 1, 5, 3, 7);
  const Simd<double> cd = __builtin_shufflevector(c, d, 0, 4, 2, 6) + __builtin_shufflevector(c, d, 1, 5, 3, 7);
  folded = __builtin_shufflevector(ab, cd, 0, 1, 4, 5) + __builtin_shufflevector(ab, cd, 2, 3, 6, 7);
}

/// sums[i][0 .. 3] += dot(a[i], b[j]) over `depth`, a multiple of the vector's width. Unrolled by order: left rolled, a loop over an array
/// keeps it in memory.
template <class T>
[[gnu::always_inline]] inline void micro(const T* const* a, const T* const* b, std::int64_t depth, T* sums) {
  Simd<T> sum[kRows][kColumns] = {};
  for (std::int64_t k = 0; k < depth; k += kSimd<T>) {
    Simd<T> left[kRows], right;
#pragma GCC unroll 8
    for (int i = 0; i < kRows; ++i) load<T>(left[i], a[i] + k);
#pragma GCC unroll 8
    for (int j = 0; j < kColumns; ++j) {
      load<T>(right, b[j] + k);
#pragma GCC unroll 8
      for (int i = 0; i < kRows; ++i) sum[i][j] += left[i] * right;
    }
  }
#pragma GCC unroll 8
  for (int i = 0; i < kRows; ++i) {
    Simd<T> folded;
    fold(sum[i][0], sum[i][1], sum[i][2], sum[i][3], folded);
    for (int j = 0; j < kColumns; ++j) sums[i * kTaskColumns + j] += folded[j];
  }
}

/// sums[kTaskRows][kTaskColumns] over all rows and columns, both padded by repeated pointers.
template <class T>
PANTHER_VECTORISED void multiply_block(const T* const* a, std::int64_t rows, const T* const* b, std::int64_t columns, std::int64_t depth, T* sums) {
  for (std::int64_t group = 0; group < columns; group += kGroup) {
    const std::int64_t end = std::min(columns, group + kGroup);
    for (std::int64_t i = 0; i < rows; i += kRows) {
      for (std::int64_t j = group; j < end; j += kColumns) micro<T>(a + i, b + j, depth, sums + i * kTaskColumns + j);
    }
  }
}

/// Pointers to `count` rows of one block of the sum, zeros behind its end; those beyond `count` up to `padded` repeat the last.
template <class T>
void gather(const StackedRows& rows, std::int64_t row, std::int64_t count, std::int64_t padded, std::int64_t k, std::int64_t depth, bool direct, T* memory,
            const T** pointers) {
  const std::int64_t whole = (depth + kSimd<T> - 1) / kSimd<T> * kSimd<T>;
  std::int64_t copied = 0;
  for (std::int64_t i = 0; i < count; ++i) {
    const T* in_place = direct && depth == whole ? stored_row<T>(rows, row + i, k) : nullptr;
    pointers[i] = in_place != nullptr ? in_place : memory + i * kDepth<T>;
    if (in_place == nullptr) continue;
    if (copied < i) fetch_rows(rows, row + copied, i - copied, k, depth, memory + copied * kDepth<T>, kDepth<T>);
    copied = i + 1;
  }
  if (copied < count) fetch_rows(rows, row + copied, count - copied, k, depth, memory + copied * kDepth<T>, kDepth<T>);
  if (whole > depth) {
    for (std::int64_t i = 0; i < count; ++i) std::fill(memory + i * kDepth<T> + depth, memory + i * kDepth<T> + whole, T{0});
  }
  for (std::int64_t i = count; i < padded; ++i) pointers[i] = pointers[count - 1];
}

template <class T>
void compute_task(const TileTarget<T>& target, const StackedRows& x, const StackedRows& factor, std::int64_t length, std::int64_t row, std::int64_t rows,
                  std::int64_t column, std::int64_t columns) {
  alignas(64) T a_memory[kTaskRows * kDepth<T>];
  alignas(64) T b_memory[kTaskColumns * kDepth<T>];
  alignas(64) T sums[kTaskRows * kTaskColumns];
  const T* a[kTaskRows];
  const T* b[kTaskColumns];
  const std::int64_t padded_rows = (rows + kRows - 1) / kRows * kRows, padded_columns = (columns + kColumns - 1) / kColumns * kColumns;
  std::fill(sums, sums + padded_rows * kTaskColumns, T{0});
  for (std::int64_t k = 0; k < length; k += kDepth<T>) {
    const std::int64_t depth = std::min(kDepth<T>, length - k);
    gather<T>(x, row, rows, padded_rows, k, depth, false, a_memory, a);
    gather<T>(factor, column, columns, padded_columns, k, depth, target.out.shape[0] <= kDirectRows, b_memory, b);
    multiply_block<T>(a, padded_rows, b, padded_columns, (depth + kSimd<T> - 1) / kSimd<T> * kSimd<T>, sums);
  }
  store_tile<T>(target, row, rows, column, columns, sums, kTaskColumns);
}

}  // namespace

template <class T>
void dot_product(const TileTarget<T>& target, const TensorView& x_BL, const StackedRows& rows_NL) {
  const std::int64_t batch = target.out.shape[0], outputs = target.out.shape[1], length = x_BL.shape[1];
  if (batch == 0 || outputs == 0) return;
  const StackedRows x = rows_of_view(x_BL);
  const std::int64_t row_tasks = (batch + kTaskRows - 1) / kTaskRows;
  std::int64_t width = kTaskColumns;
  // Few tasks would leave threads idle; narrower ones change no result.
  while (width > 8 && row_tasks * ((outputs + width - 1) / width) < 6) width /= 2;
  const std::int64_t column_tasks = (outputs + width - 1) / width;
  parallel_for(row_tasks * column_tasks, batch * outputs * (length + 8) / 8, [&](std::int64_t index) {
    const std::int64_t row = index / column_tasks * kTaskRows, column = index % column_tasks * width;
    compute_task(target, x, rows_NL, length, row, std::min(kTaskRows, batch - row), column, std::min(width, outputs - column));
  });
}

template void dot_product<float>(const TileTarget<float>&, const TensorView&, const StackedRows&);
template void dot_product<double>(const TileTarget<double>&, const TensorView&, const StackedRows&);

}  // namespace panther::cpu
