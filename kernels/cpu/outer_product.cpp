#include "kernels/cpu/outer_product.h"

#include <algorithm>

#include "kernels/cpu/parallel.h"
#include "kernels/cpu/simd.h"
#include "kernels/cpu/vectorised.h"
#include "kernels/element/convert.h"

namespace panther::cpu {
namespace {

constexpr int kRows = 6;  // of a micro-kernel, times two vectors: 12 of 16 registers hold sums
template <class T> inline constexpr int kColumns = 2 * kSimd<T>;
/// Of a task; the tile and the panel of a stay in the second-level cache, a sliver of the factor in the first.
constexpr std::int64_t kTaskRows = 96, kTaskColumns = 64, kDepth = 256;
constexpr std::int64_t kFetched = 16;  // rows of the factor that become numbers at a time

/// Batches up to this scale whole rows instead: the factor is read once, as it lies, and nothing is packed.
constexpr std::int64_t kFewRows = 8, kLongColumns = 512;
constexpr int kFused = 4;  // rows of the factor in one pass over the results

/// panel[row / 6][k][6], zeros beyond `rows`.
template <class T, class S>
void pack_left(const S* a, std::int64_t row_stride, std::int64_t k_stride, std::int64_t rows, std::int64_t depth, T* panel) {
  for (std::int64_t first = 0; first < rows; first += kRows) {
    const std::int64_t count = std::min<std::int64_t>(kRows, rows - first);
    T* sliver = panel + first * depth;
    if (count < kRows) std::fill(sliver, sliver + depth * kRows, T{0});
    const S* source = a + first * row_stride;
    for (std::int64_t k = 0; k < depth; ++k) {
      for (std::int64_t i = 0; i < count; ++i) sliver[k * kRows + i] = convert<T>(source[i * row_stride + k * k_stride]);
    }
  }
}

template <class T>
void pack_left(const TensorView& a_MK, std::int64_t row, std::int64_t rows, std::int64_t k, std::int64_t depth, T* panel) {
  const std::int64_t at = row * a_MK.strides[0] + k * a_MK.strides[1];
  switch (a_MK.dtype) {
    case DType::f64: return pack_left(a_MK.as<const double>() + at, a_MK.strides[0], a_MK.strides[1], rows, depth, panel);
    case DType::f32: return pack_left(a_MK.as<const float>() + at, a_MK.strides[0], a_MK.strides[1], rows, depth, panel);
    case DType::bf16: return pack_left(a_MK.as<const Bf16>() + at, a_MK.strides[0], a_MK.strides[1], rows, depth, panel);
    case DType::f16: return pack_left(a_MK.as<const F16>() + at, a_MK.strides[0], a_MK.strides[1], rows, depth, panel);
    case DType::i64: case DType::i32: case DType::u8: return;
  }
}

/// Row k's pieces go to panel[column / width][k][width].
template <class T>
PANTHER_VECTORISED void scatter_row(const T* row, std::int64_t columns, std::int64_t depth, T* panel) {
  constexpr std::int64_t width = kColumns<T>;
  std::int64_t column = 0;
  for (; column + width <= columns; column += width) {
    Simd<T> low, high;
    load<T>(low, row + column);
    load<T>(high, row + column + kSimd<T>);
    store<T>(panel + column * depth, low);
    store<T>(panel + column * depth + kSimd<T>, high);
  }
  for (std::int64_t j = 0; column + j < columns; ++j) panel[column * depth + j] = row[column + j];
}

template <class T>
void pack_right(const StackedRows& rows, std::int64_t k, std::int64_t depth, std::int64_t column, std::int64_t columns, T* panel) {
  constexpr std::int64_t width = kColumns<T>;
  if (columns % width != 0) std::fill(panel + columns / width * width * depth, panel + (columns / width + 1) * width * depth, T{0});
  alignas(64) T fetched[kFetched * kTaskColumns];
  for (std::int64_t p = 0; p < depth;) {
    if (const T* in_place = stored_row<T>(rows, k + p, column); in_place != nullptr) {
      scatter_row(in_place, columns, depth, panel + p * width);
      ++p;
      continue;
    }
    std::int64_t count = 1;
    while (count < kFetched && p + count < depth && stored_row<T>(rows, k + p + count, column) == nullptr) ++count;
    fetch_rows(rows, k + p, count, column, columns, fetched, kTaskColumns);
    for (std::int64_t i = 0; i < count; ++i, ++p) scatter_row(fetched + i * kTaskColumns, columns, depth, panel + p * width);
  }
}

template <class T>
[[gnu::always_inline]] inline void micro(const T* a, const T* b, std::int64_t depth, bool add, T* tile) {
  constexpr int lanes = kSimd<T>;
  Simd<T> sum[kRows][2] = {};
  if (add) {
#pragma GCC unroll 8
    for (int i = 0; i < kRows; ++i) {
      load<T>(sum[i][0], tile + i * kTaskColumns);
      load<T>(sum[i][1], tile + i * kTaskColumns + lanes);
    }
  }
  for (std::int64_t p = 0; p < depth; ++p) {
    Simd<T> low, high;
    load<T>(low, b + p * 2 * lanes);
    load<T>(high, b + p * 2 * lanes + lanes);
#pragma GCC unroll 8
    for (int i = 0; i < kRows; ++i) {
      sum[i][0] += a[p * kRows + i] * low;
      sum[i][1] += a[p * kRows + i] * high;
    }
  }
#pragma GCC unroll 8
  for (int i = 0; i < kRows; ++i) {
    store<T>(tile + i * kTaskColumns, sum[i][0]);
    store<T>(tile + i * kTaskColumns + lanes, sum[i][1]);
  }
}

template <class T>
PANTHER_VECTORISED void multiply_block(const T* a, std::int64_t rows, const T* b, std::int64_t columns, std::int64_t depth, bool add, T* tile) {
  for (std::int64_t j = 0; j < columns; j += kColumns<T>) {
    for (std::int64_t i = 0; i < rows; i += kRows) micro<T>(a + i * depth, b + j * depth, depth, add, tile + i * kTaskColumns + j);
  }
}

template <class T>
void compute_task(const TileTarget<T>& target, const TensorView& a_MK, const StackedRows& factor, std::int64_t row, std::int64_t rows,
                  std::int64_t column, std::int64_t columns) {
  alignas(64) T tile[kTaskRows * kTaskColumns];
  alignas(64) T a_panel[kTaskRows * kDepth];
  alignas(64) T b_panel[kTaskColumns * kDepth];
  const std::int64_t length = a_MK.shape[1];
  if (length == 0) std::fill(tile, tile + kTaskRows * kTaskColumns, T{0});
  for (std::int64_t k = 0; k < length; k += kDepth) {
    const std::int64_t depth = std::min(kDepth, length - k);
    pack_left(a_MK, row, rows, k, depth, a_panel);
    pack_right(factor, k, depth, column, columns, b_panel);
    multiply_block(a_panel, rows, b_panel, columns, depth, k > 0, tile);
  }
  store_tile<T>(target, row, rows, column, columns, tile, kTaskColumns);
}

/// sums[i][j] += h[i][0] rows[0][j] + ... + h[i][3] rows[3][j].
template <class T>
PANTHER_VECTORISED void add_rows(const T* h, std::int64_t h_stride, std::int64_t rows, const T* const* factor, std::int64_t columns, T* sums) {
  const T *r0 = factor[0], *r1 = factor[1], *r2 = factor[2], *r3 = factor[3];
  for (std::int64_t i = 0; i < rows; ++i) {
    const T h0 = h[i * h_stride], h1 = h[i * h_stride + 1], h2 = h[i * h_stride + 2], h3 = h[i * h_stride + 3];
    T* const out = sums + i * kLongColumns;
    for (std::int64_t j = 0; j < columns; ++j) out[j] += (h0 * r0[j] + h1 * r1[j]) + (h2 * r2[j] + h3 * r3[j]);
  }
}

template <class T>
void compute_few(const TileTarget<T>& target, const TensorView& a_MK, const StackedRows& factor, std::int64_t column, std::int64_t columns) {
  alignas(64) T sums[kFewRows * kLongColumns];
  alignas(64) T fetched[kFused * kLongColumns];
  alignas(64) T h[kFewRows * kDepth];
  const std::int64_t rows = target.out.shape[0], length = a_MK.shape[1];
  std::fill(sums, sums + rows * kLongColumns, T{0});
  for (std::int64_t block = 0; block < length; block += kDepth) {
    const std::int64_t depth = std::min(kDepth, length - block), padded = (depth + kFused - 1) / kFused * kFused;
    std::fill(h, h + rows * kDepth, T{0});
    fetch_rows(rows_of_view(a_MK), 0, rows, block, depth, h, kDepth);
    for (std::int64_t k = 0; k < padded; k += kFused) {
      const T* pointers[kFused];
      for (int i = 0; i < kFused; ++i) {
        // Beyond the last row: any finite numbers, times zero.
        const std::int64_t at = block + std::min(k + i, depth - 1);
        pointers[i] = stored_row<T>(factor, at, column);
        if (pointers[i] != nullptr) continue;
        fetch_rows(factor, at, 1, column, columns, fetched + i * kLongColumns, kLongColumns);
        pointers[i] = fetched + i * kLongColumns;
      }
      add_rows(h + k, kDepth, rows, pointers, columns, sums);
    }
  }
  store_tile<T>(target, 0, rows, column, columns, sums, kLongColumns);
}

}  // namespace

template <class T>
void outer_product(const TileTarget<T>& target, const TensorView& a_MK, const StackedRows& rows_KL) {
  const std::int64_t rows = target.out.shape[0], columns = target.out.shape[1];
  if (rows == 0 || columns == 0) return;
  const std::int64_t work = rows * columns * (a_MK.shape[1] + 8) / 8;
  if (rows <= kFewRows) {
    const std::int64_t tasks = (columns + kLongColumns - 1) / kLongColumns;
    return parallel_for(tasks, work, [&](std::int64_t index) {
      compute_few(target, a_MK, rows_KL, index * kLongColumns, std::min(kLongColumns, columns - index * kLongColumns));
    });
  }
  const std::int64_t row_tasks = (rows + kTaskRows - 1) / kTaskRows, column_tasks = (columns + kTaskColumns - 1) / kTaskColumns;
  parallel_for(row_tasks * column_tasks, work, [&](std::int64_t index) {
    const std::int64_t row = index / column_tasks * kTaskRows, column = index % column_tasks * kTaskColumns;
    compute_task(target, a_MK, rows_KL, row, std::min(kTaskRows, rows - row), column, std::min(kTaskColumns, columns - column));
  });
}

template void outer_product<float>(const TileTarget<float>&, const TensorView&, const StackedRows&);
template void outer_product<double>(const TileTarget<double>&, const TensorView&, const StackedRows&);

}  // namespace panther::cpu
