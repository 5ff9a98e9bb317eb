#pragma once
// Strips of columns of a matrix of any layout and dtype, copied into contiguous tiles [rows][lanes] that vector code walks, and back.
// Packing is what makes one inner loop serve every layout, and it keeps rows that lie a power of two apart out of each other's cache sets.
#include <cstdint>

#include "kernels/view.h"

namespace panther::cpu {

/// Two cache lines: wide enough for DRAM to like the pieces of a row-major matrix, narrow enough for a thousand rows in the L2 cache.
inline constexpr int kStripBytes = 128;
template <class T> inline constexpr int kWideLanes = kStripBytes / static_cast<int>(sizeof(T));
inline constexpr int kNarrowLanes = 4;

/// Lanes of the strips for a matrix of so many columns: kWideLanes, kNarrowLanes or 1.
template <class T>
constexpr int strip_lanes(std::int64_t columns) {
  return columns <= 1 ? 1 : columns <= kNarrowLanes ? kNarrowLanes : kWideLanes<T>;
}

/// tile[rows][lanes] = a[row .. row + rows, column .. column + lanes), 0 beyond a's last column. T is float or double, a of any floating dtype.
template <class T>
void load_strip(const TensorView& a, std::int64_t row, std::int64_t rows, std::int64_t column, int lanes, T* tile);

/// Several neighbouring strips at once, the tile of strip s at tile + s * tile_step: the rows are read in longer pieces.
template <class T>
void load_strips(const TensorView& a, std::int64_t row, std::int64_t rows, std::int64_t column, int lanes, std::int64_t strips, std::int64_t tile_step, T* tile);

/// out[row .. , column ..] = alpha tile + beta out, rounded once; what lies beyond out's last column is dropped. beta == 0 reads nothing.
template <class T>
void store_strip(const T* tile, T alpha, T beta, const TensorView& out, std::int64_t row, std::int64_t rows, std::int64_t column, int lanes);

/// out = beta out, for products over nothing.
void scale_matrix(double beta, const TensorView& out);

}  // namespace panther::cpu
