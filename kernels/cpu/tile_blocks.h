#pragma once
// Blocks of b are packed into slivers of two vectors' columns that stay in the first-level cache while the rows of a stream past, a tile's rows at
// a time, the tile's accumulators in registers (Goto, van de Geijn, Anatomy of High-Performance Matrix Multiplication, 2008).
//
// Templates over `Lanes`, one form's vectors: Vector, kCount floats in it, kRows of a tile, and load, store, broadcast, fma. A form includes this
// between its push and pop, so that these functions may use its instructions, after every other header, whose functions may not.
#include <immintrin.h>

#include <algorithm>
#include <cstdint>

#include "core/error.h"
#include "kernels/cpu/tile_kernels.h"

namespace panther::cpu {

template <class Lanes> inline constexpr std::int64_t kSliver = 2 * Lanes::kCount;

/// How a tile of c is written: c = alpha sum + beta c + bias, where later blocks of the depth add to the first one's.
struct TileFinish {
  float alpha = 1;
  float beta = 0;
  const float* bias = nullptr;  ///< of the tile's columns
};

/// One block of the product: a's rows, b's sliver, c's tile.
struct Tile {
  const float* a = nullptr;
  std::int64_t a_row = 0;        ///< between rows; packed a: unused
  const float* b = nullptr;      ///< [depth][sliver]
  std::int64_t depth = 0;
  float* c = nullptr;
  std::int64_t c_row = 0;
};

/// The tile's first `vectors` vectors of columns: one where the second would be empty.
template <class Lanes, int rows, int vectors, bool packed>
inline void multiply_tile(const Tile& tile, const TileFinish& finish) {
  using Vector = typename Lanes::Vector;
  Vector sum[rows][vectors];
#pragma GCC unroll 8
  for (int i = 0; i < rows; ++i) {
#pragma GCC unroll 2
    for (int v = 0; v < vectors; ++v) sum[i][v] = Lanes::broadcast(0);
  }
  // Element i of step p is a[i * a_row + p], or packed a[p * kRows + i]. Bases of three rows each fit the address modes.
  const std::int64_t depth = tile.depth, a_row = tile.a_row;
  const float* const base[3] = {tile.a, tile.a + 3 * a_row, tile.a + 6 * a_row};
#pragma GCC unroll 2
  for (std::int64_t p = 0; p < depth; ++p) {
    Vector b[vectors];
#pragma GCC unroll 2
    for (int v = 0; v < vectors; ++v) b[v] = Lanes::load(tile.b + p * kSliver<Lanes> + v * Lanes::kCount);
#pragma GCC unroll 8
    for (int i = 0; i < rows; ++i) {
      const Vector a = Lanes::broadcast(packed ? tile.a[p * Lanes::kRows + i] : base[i / 3][i % 3 * a_row + p]);
#pragma GCC unroll 2
      for (int v = 0; v < vectors; ++v) sum[i][v] = Lanes::fma(a, b[v], sum[i][v]);
    }
  }
  const Vector alpha = Lanes::broadcast(finish.alpha), beta = Lanes::broadcast(finish.beta);
#pragma GCC unroll 2
  for (int v = 0; v < vectors; ++v) {
    const Vector bias = finish.bias != nullptr ? Lanes::load(finish.bias + v * Lanes::kCount) : Lanes::broadcast(0);
#pragma GCC unroll 8
    for (int i = 0; i < rows; ++i) {
      float* c = tile.c + i * tile.c_row + v * Lanes::kCount;
      const Vector start = finish.beta != 0 ? Lanes::fma(beta, Lanes::load(c), bias) : bias;
      Lanes::store(c, Lanes::fma(alpha, sum[i][v], start));
    }
  }
}

template <class Lanes, int vectors, bool packed, int most = Lanes::kRows>
void multiply_tile_rows(std::int64_t rows, const Tile& tile, const TileFinish& finish) {
  if constexpr (most > 1) {
    if (rows < most) return multiply_tile_rows<Lanes, vectors, packed, most - 1>(rows, tile, finish);
  }
  multiply_tile<Lanes, most, vectors, packed>(tile, finish);
}

template <class Lanes, bool packed>
void multiply_whole(std::int64_t rows, bool narrow, const Tile& tile, const TileFinish& finish) {
  return narrow ? multiply_tile_rows<Lanes, 1, packed>(rows, tile, finish) : multiply_tile_rows<Lanes, 2, packed>(rows, tile, finish);
}

/// Columns that end within a vector: through a whole tile beside c, so that nothing outside c is touched.
template <class Lanes, bool packed>
void multiply_edge(std::int64_t rows, std::int64_t columns, Tile tile, const TileFinish& finish) {
  alignas(64) float whole[Lanes::kRows * kSliver<Lanes>] = {};
  alignas(64) float bias[kSliver<Lanes>] = {};
  float* const c = tile.c;
  for (std::int64_t i = 0; i < rows && finish.beta != 0; ++i) std::copy_n(c + i * tile.c_row, columns, whole + i * kSliver<Lanes>);
  if (finish.bias != nullptr) std::copy_n(finish.bias, columns, bias);
  const std::int64_t c_row = tile.c_row;
  tile.c = whole;
  tile.c_row = kSliver<Lanes>;
  multiply_whole<Lanes, packed>(rows, columns <= Lanes::kCount, tile, {finish.alpha, finish.beta, bias});
  for (std::int64_t i = 0; i < rows; ++i) std::copy_n(whole + i * kSliver<Lanes>, columns, c + i * c_row);
}

template <class Lanes, bool packed>
void multiply_any(std::int64_t rows, std::int64_t columns, const Tile& tile, const TileFinish& finish) {
  if (columns != kSliver<Lanes> && columns != Lanes::kCount) return multiply_edge<Lanes, packed>(rows, columns, tile, finish);
  multiply_whole<Lanes, packed>(rows, columns == Lanes::kCount, tile, finish);
}

/// sliver[p * width + j] = element (p, j) of `source`, zero for j in [count, width).
template <class Lanes, std::int64_t width>
void pack_any(const Strided& source, std::int64_t count, std::int64_t depth, float* sliver) {
  for (std::int64_t p = 0; p < depth; ++p) {
    for (std::int64_t j = 0; j < width; ++j) sliver[p * width + j] = j < count ? source.data[p * source.row + j * source.column] : 0.0f;
  }
}

/// `source` stored by rows, `width` columns of it.
template <class Lanes, std::int64_t width>
void pack_adjacent(const Strided& source, std::int64_t depth, float* sliver) {
  for (std::int64_t p = 0; p < depth; ++p) __builtin_memcpy(sliver + p * width, source.data + p * source.row, width * sizeof(float));
}

/// out[j * out_row + i] = in[i * in_row + j] for 8 x 8. AVX2 will do for every form: it moves little beside what the product multiplies.
template <class Lanes>
inline void transpose8(const float* in, std::int64_t in_row, float* out, std::int64_t out_row) {
  __m256 row[8], pair[8], four[8];
#pragma GCC unroll 8
  for (int i = 0; i < 8; ++i) row[i] = _mm256_loadu_ps(in + i * in_row);
#pragma GCC unroll 4
  for (int i = 0; i < 8; i += 2) {
    pair[i] = _mm256_unpacklo_ps(row[i], row[i + 1]);
    pair[i + 1] = _mm256_unpackhi_ps(row[i], row[i + 1]);
  }
#pragma GCC unroll 2
  for (int i = 0; i < 8; i += 4) {
    four[i] = _mm256_shuffle_ps(pair[i], pair[i + 2], 0x44);
    four[i + 1] = _mm256_shuffle_ps(pair[i], pair[i + 2], 0xEE);
    four[i + 2] = _mm256_shuffle_ps(pair[i + 1], pair[i + 3], 0x44);
    four[i + 3] = _mm256_shuffle_ps(pair[i + 1], pair[i + 3], 0xEE);
  }
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) {
    _mm256_storeu_ps(out + i * out_row, _mm256_permute2f128_ps(four[i], four[i + 4], 0x20));
    _mm256_storeu_ps(out + (i + 4) * out_row, _mm256_permute2f128_ps(four[i], four[i + 4], 0x31));
  }
}

/// b's columns into one sliver.
template <class Lanes>
void pack_columns(const Strided& b, std::int64_t count, std::int64_t depth, float* sliver) {
  constexpr std::int64_t width = kSliver<Lanes>;
  if (count < width || (b.column != 1 && b.row != 1)) return pack_any<Lanes, width>(b, count, depth, sliver);
  if (b.column == 1) return pack_adjacent<Lanes, width>(b, depth, sliver);
  const std::int64_t whole = depth / 8 * 8;
  for (std::int64_t p = 0; p < whole; p += 8) {
    for (std::int64_t j = 0; j < width; j += 8) transpose8<Lanes>(b.data + p + j * b.column, b.column, sliver + p * width + j, width);
  }
  pack_any<Lanes, width>({b.data + whole, b.row, b.column}, count, depth - whole, sliver + whole * width);
}

/// A tile's rows of a, given as (depth x rows).
template <class Lanes>
void pack_rows(const Strided& a, std::int64_t count, std::int64_t depth, float* sliver) {
  if (count < Lanes::kRows || a.column != 1) return pack_any<Lanes, Lanes::kRows>(a, count, depth, sliver);
  pack_adjacent<Lanes, Lanes::kRows>(a, depth, sliver);
}

template <class Lanes>
void pack_slivers(Strided b, std::int64_t columns, std::int64_t depth, float* memory) {
  for (std::int64_t j = 0; j < columns; j += kSliver<Lanes>) {
    pack_columns<Lanes>({b.data + j * b.column, b.row, b.column}, std::min(kSliver<Lanes>, columns - j), depth, memory + j * depth);
  }
}

/// Rows [row, end) of a, depth [k, k + depth), as tiles one behind the other. A few steps of the depth at a time: of a transposed a, the lines
/// that one tile's rows begin are then still there for the next tile.
template <class Lanes>
void pack_row_block(const Strided& a, std::int64_t row, std::int64_t end, std::int64_t k, std::int64_t depth, float* packed) {
  constexpr std::int64_t kSteps = 8;
  for (std::int64_t p = 0; p < depth; p += kSteps) {
    const std::int64_t steps = std::min(kSteps, depth - p);
    for (std::int64_t i = row; i < end; i += Lanes::kRows) {
      pack_rows<Lanes>({a.data + i * a.row + (k + p) * a.column, a.column, a.row}, std::min<std::int64_t>(Lanes::kRows, end - i), steps,
                       packed + (i - row) * depth + p * Lanes::kRows);
    }
  }
}

/// Depth [k, k + depth) of the product of rows [row, end), whose b is packed; the first block of the depth brings beta and the bias.
template <class Lanes, bool pack_a>
void multiply_row_block(const TileProduct& product, std::int64_t row, std::int64_t end, std::int64_t k, std::int64_t depth, TileMemory& memory) {
  if constexpr (pack_a) pack_row_block<Lanes>(product.a, row, end, k, depth, memory.a);
  for (std::int64_t j = 0; j < product.columns; j += kSliver<Lanes>) {
    const std::int64_t columns = std::min(kSliver<Lanes>, product.columns - j);
    const TileFinish finish{product.alpha, k == 0 ? product.beta : 1.0f, k == 0 && product.bias != nullptr ? product.bias + j : nullptr};
    for (std::int64_t i = row; i < end; i += Lanes::kRows) {
      const float* a = pack_a ? memory.a + (i - row) * depth : product.a.data + i * product.a.row + k;
      const Tile tile{a, product.a.row, memory.b + j * depth, depth, product.c + i * product.c_row + j, product.c_row};
      multiply_any<Lanes, pack_a>(std::min<std::int64_t>(Lanes::kRows, end - i), columns, tile, finish);
    }
  }
}

template <class Lanes>
void multiply_block(const TileProduct& product, TileMemory& memory) {
  // Even blocks: a thin last one would pay for its pass over c.
  const std::int64_t blocks = std::max<std::int64_t>(1, (product.depth + kTileDepthBlock - 1) / kTileDepthBlock);
  const std::int64_t step = std::max<std::int64_t>(8, ((product.depth + blocks - 1) / blocks + 7) / 8 * 8);
  for (std::int64_t k = 0; k == 0 || k < product.depth; k += step) {
    const std::int64_t depth = std::min(step, product.depth - k);
    pack_slivers<Lanes>({product.b.data + k * product.b.row, product.b.row, product.b.column}, product.columns, depth, memory.b);
    for (std::int64_t row = 0; row < product.rows; row += kTileRowBlock) {
      const std::int64_t end = std::min(product.rows, row + kTileRowBlock);
      if (product.a.column == 1) multiply_row_block<Lanes, false>(product, row, end, k, depth, memory);
      else multiply_row_block<Lanes, true>(product, row, end, k, depth, memory);
    }
  }
}

template <class Lanes>
void multiply_rows(std::int64_t rows, float alpha, Strided a, const Slivers& b, SliverPart part, float* c, std::int64_t c_row) {
  alignas(64) float packed_a[Lanes::kRows * kLongestTileDepth];
  const bool pack_a = a.column != 1;
  PANTHER_CHECK(rows <= Lanes::kRows && part.columns <= b.columns && part.first + part.depth <= b.depth && (!pack_a || part.depth <= kLongestTileDepth),
                "tile_rows of ", rows, " x ", part.columns, " x ", part.depth);
  if (pack_a) pack_rows<Lanes>({a.data, a.column, a.row}, rows, part.depth, packed_a);
  for (std::int64_t j = 0; j < part.columns; j += kSliver<Lanes>) {
    const std::int64_t columns = std::min(kSliver<Lanes>, part.columns - j);
    const Tile tile{pack_a ? packed_a : a.data, a.row, b.data + j * b.depth + part.first * kSliver<Lanes>, part.depth, c + j, c_row};
    if (pack_a) multiply_any<Lanes, true>(rows, columns, tile, {alpha, 0, nullptr});
    else multiply_any<Lanes, false>(rows, columns, tile, {alpha, 0, nullptr});
  }
}

template <class Lanes>
constexpr TileKernels tile_kernels(const char* name) {
  static_assert(Lanes::kRows <= kMostTileRows && kSliver<Lanes> <= kWidestSliver && kTileRowBlock % Lanes::kRows == 0 && kTileColumnBlock % kSliver<Lanes> == 0);
  return {name, Lanes::kRows, kSliver<Lanes>, multiply_block<Lanes>, pack_slivers<Lanes>, multiply_rows<Lanes>};
}

}  // namespace panther::cpu
