// Blocks of b are packed into slivers of 16 columns that stay in the first-level cache while the rows of a stream past, six at a
// time, twelve accumulators in registers (Goto, van de Geijn, Anatomy of High-Performance Matrix Multiplication, 2008).
#include "kernels/cpu/tile_gemm.h"

#include <immintrin.h>

#include <algorithm>
#include <memory>

#include "core/error.h"
#include "kernels/cpu/parallel.h"

// What stands between push and pop may use AVX2. has_tile_gemm(), which says whether it may be called, and tile_gemm(), which asks, stand
// behind it: they run on processors without AVX.
#pragma GCC push_options
#pragma GCC target("avx2,fma")

namespace panther::cpu {
namespace {

constexpr std::int64_t kRows = 6, kColumns = 16;
constexpr std::int64_t kRowBlock = 96, kColumnBlock = 256, kDepthBlock = 256;
/// Longest depth of a transposed left operand of tile_rows().
constexpr std::int64_t kLongestPacked = 1024;
/// Below this, packing costs more than the product saves.
constexpr std::int64_t kSmallestRows = 32, kSmallestColumns = 16, kSmallestDepth = 16;

/// How a tile of c is written: c = alpha sum + beta c + bias, where later blocks of the depth add to the first one's.
struct Finish {
  float alpha = 1;
  float beta = 0;
  const float* bias = nullptr;  ///< of the tile's columns
};

/// One block of the product: a's rows, b's sliver, c's tile.
struct Tile {
  const float* a = nullptr;
  std::int64_t a_row = 0;        ///< between rows; packed a: unused
  const float* b = nullptr;      ///< [depth][16]
  std::int64_t depth = 0;
  float* c = nullptr;
  std::int64_t c_row = 0;
};

template <int rows, bool packed>
inline void multiply(const Tile& tile, const Finish& finish) {
  __m256 sum[rows][2];
#pragma GCC unroll 6
  for (int i = 0; i < rows; ++i) sum[i][0] = sum[i][1] = _mm256_setzero_ps();
  // Element i of step p is a[i * a_row + p], or packed a[p * 6 + i]. Two bases of three rows each fit the address modes.
  const std::int64_t depth = tile.depth, a_row = tile.a_row;
  const float *low = tile.a, *high = tile.a + 3 * a_row;
#pragma GCC unroll 2
  for (std::int64_t p = 0; p < depth; ++p) {
    const __m256 b0 = _mm256_load_ps(tile.b + p * kColumns), b1 = _mm256_load_ps(tile.b + p * kColumns + 8);
#pragma GCC unroll 6
    for (int i = 0; i < rows; ++i) {
      const __m256 a = _mm256_broadcast_ss(packed ? low + p * kRows + i : i < 3 ? low + i * a_row + p : high + (i - 3) * a_row + p);
      sum[i][0] = _mm256_fmadd_ps(a, b0, sum[i][0]);
      sum[i][1] = _mm256_fmadd_ps(a, b1, sum[i][1]);
    }
  }
  const __m256 alpha = _mm256_set1_ps(finish.alpha), beta = _mm256_set1_ps(finish.beta);
#pragma GCC unroll 2
  for (int half = 0; half < 2; ++half) {
    const __m256 bias = finish.bias != nullptr ? _mm256_loadu_ps(finish.bias + 8 * half) : _mm256_setzero_ps();
#pragma GCC unroll 6
    for (int i = 0; i < rows; ++i) {
      float* c = tile.c + i * tile.c_row + 8 * half;
      const __m256 start = finish.beta != 0 ? _mm256_fmadd_ps(beta, _mm256_loadu_ps(c), bias) : bias;
      _mm256_storeu_ps(c, _mm256_fmadd_ps(alpha, sum[i][half], start));
    }
  }
}

template <bool packed>
void multiply_rows(std::int64_t rows, const Tile& tile, const Finish& finish) {
  switch (rows) {
    case 1: return multiply<1, packed>(tile, finish);
    case 2: return multiply<2, packed>(tile, finish);
    case 3: return multiply<3, packed>(tile, finish);
    case 4: return multiply<4, packed>(tile, finish);
    case 5: return multiply<5, packed>(tile, finish);
    default: return multiply<6, packed>(tile, finish);
  }
}

/// Fewer than 16 columns: through a whole tile beside c, so that nothing outside c is touched.
template <bool packed>
void multiply_edge(std::int64_t rows, std::int64_t columns, Tile tile, const Finish& finish) {
  alignas(32) float whole[kRows * kColumns] = {};
  alignas(32) float bias[kColumns] = {};
  float* const c = tile.c;
  for (std::int64_t i = 0; i < rows && finish.beta != 0; ++i) std::copy_n(c + i * tile.c_row, columns, whole + i * kColumns);
  if (finish.bias != nullptr) std::copy_n(finish.bias, columns, bias);
  const std::int64_t c_row = tile.c_row;
  tile.c = whole;
  tile.c_row = kColumns;
  multiply_rows<packed>(rows, tile, {finish.alpha, finish.beta, bias});
  for (std::int64_t i = 0; i < rows; ++i) std::copy_n(whole + i * kColumns, columns, c + i * c_row);
}

void multiply_any(bool packed, std::int64_t rows, std::int64_t columns, const Tile& tile, const Finish& finish) {
  if (columns < kColumns) return packed ? multiply_edge<true>(rows, columns, tile, finish) : multiply_edge<false>(rows, columns, tile, finish);
  return packed ? multiply_rows<true>(rows, tile, finish) : multiply_rows<false>(rows, tile, finish);
}

/// out[j * out_row + i] = in[i * in_row + j] for 8 x 8.
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

/// sliver[p * width + j] = element (p, j) of `source`, zero for j in [count, width).
template <std::int64_t width>
void pack_any(const Strided& source, std::int64_t count, std::int64_t depth, float* sliver) {
  for (std::int64_t p = 0; p < depth; ++p) {
    for (std::int64_t j = 0; j < width; ++j) sliver[p * width + j] = j < count ? source.data[p * source.row + j * source.column] : 0.0f;
  }
}

void pack_sixteen(const Strided& b, std::int64_t count, std::int64_t depth, float* sliver) {
  if (count < kColumns || (b.column != 1 && b.row != 1)) return pack_any<kColumns>(b, count, depth, sliver);
  if (b.column == 1) {
    for (std::int64_t p = 0; p < depth; ++p) {
      _mm256_store_ps(sliver + p * kColumns, _mm256_loadu_ps(b.data + p * b.row));
      _mm256_store_ps(sliver + p * kColumns + 8, _mm256_loadu_ps(b.data + p * b.row + 8));
    }
    return;
  }
  const std::int64_t whole = depth / 8 * 8;
  for (std::int64_t p = 0; p < whole; p += 8) {
    transpose8(b.data + p, b.column, sliver + p * kColumns, kColumns);
    transpose8(b.data + p + 8 * b.column, b.column, sliver + p * kColumns + 8, kColumns);
  }
  pack_any<kColumns>({b.data + whole, b.row, b.column}, count, depth - whole, sliver + whole * kColumns);
}

/// Six rows of a stored by columns; a is given as (depth x rows).
void pack_six(const Strided& a, std::int64_t count, std::int64_t depth, float* sliver) {
  if (count < kRows || a.column != 1) return pack_any<kRows>(a, count, depth, sliver);
  for (std::int64_t p = 0; p < depth; ++p) {
    const float* from = a.data + p * a.row;
    _mm_storeu_ps(sliver + p * kRows, _mm_loadu_ps(from));
    _mm_storel_pi(reinterpret_cast<__m64*>(sliver + p * kRows + 4), _mm_castpd_ps(_mm_load_sd(reinterpret_cast<const double*>(from + 4))));
  }
}

struct Product {
  std::int64_t rows = 0, columns = 0, depth = 0;
  float alpha = 1, beta = 0;
  Strided a, b;
  float* c = nullptr;
  std::int64_t c_row = 0;
  const float* bias = nullptr;
};

/// Packed blocks of one worker: 352 KiB, too much for the stack of a worker thread (OMP_STACKSIZE).
struct Packed {
  alignas(64) float b[kColumnBlock * kDepthBlock];
  alignas(64) float a[kRowBlock * kDepthBlock];
};

/// At most kColumnBlock columns.
void multiply_block(const Product& product, Packed& memory) {
  float *const slivers = memory.b, *const packed_a = memory.a;
  const bool pack_a = product.a.column != 1;
  // Even blocks: a thin last one would pay for its pass over c.
  const std::int64_t blocks = std::max<std::int64_t>(1, (product.depth + kDepthBlock - 1) / kDepthBlock);
  const std::int64_t step = std::max<std::int64_t>(8, ((product.depth + blocks - 1) / blocks + 7) / 8 * 8);
  for (std::int64_t k = 0; k == 0 || k < product.depth; k += step) {
    const std::int64_t depth = std::min(step, product.depth - k);
    for (std::int64_t j = 0; j < product.columns; j += kColumns) {
      pack_sixteen({product.b.data + k * product.b.row + j * product.b.column, product.b.row, product.b.column},
                   std::min(kColumns, product.columns - j), depth, slivers + j * depth);
    }
    for (std::int64_t block = 0; block < product.rows; block += kRowBlock) {
      const std::int64_t end = std::min(product.rows, block + kRowBlock);
      for (std::int64_t i = block; i < end && pack_a; i += kRows) {
        pack_six({product.a.data + i * product.a.row + k * product.a.column, product.a.column, product.a.row}, std::min(kRows, end - i), depth,
                 packed_a + (i - block) * depth);
      }
      for (std::int64_t j = 0; j < product.columns; j += kColumns) {
        const std::int64_t columns = std::min(kColumns, product.columns - j);
        const Finish finish{product.alpha, k == 0 ? product.beta : 1.0f, k == 0 && product.bias != nullptr ? product.bias + j : nullptr};
        for (std::int64_t i = block; i < end; i += kRows) {
          const std::int64_t rows = std::min(kRows, end - i);
          const float* a = pack_a ? packed_a + (i - block) * depth : product.a.data + i * product.a.row + k;
          const Tile tile{a, product.a.row, slivers + j * depth, depth, product.c + i * product.c_row + j, product.c_row};
          multiply_any(pack_a, rows, columns, tile, finish);
        }
      }
    }
  }
}

/// Rows [row, row + rows) and columns [column, column + columns) of a product.
Product part(const Product& whole, std::int64_t row, std::int64_t rows, std::int64_t column, std::int64_t columns) {
  Product result = whole;
  result.rows = rows;
  result.columns = columns;
  result.a.data += row * whole.a.row;
  result.b.data += column * whole.b.column;
  result.c += row * whole.c_row + column;
  if (whole.bias != nullptr) result.bias += column;
  return result;
}

}  // namespace

Slivers tile_pack(Strided b, std::int64_t columns, std::int64_t depth, float* memory) {
  for (std::int64_t j = 0; j < columns; j += kColumns) {
    pack_sixteen({b.data + j * b.column, b.row, b.column}, std::min(kColumns, columns - j), depth, memory + j * depth);
  }
  return {memory, columns, depth};
}

void tile_rows(std::int64_t rows, float alpha, Strided a, const Slivers& b, SliverPart part, float* c, std::int64_t c_row) {
  alignas(64) float packed_a[kRows * kLongestPacked];
  const bool pack_a = a.column != 1;
  PANTHER_CHECK(rows <= kRows && part.columns <= b.columns && part.first + part.depth <= b.depth && (!pack_a || part.depth <= kLongestPacked),
                "tile_rows of ", rows, " x ", part.columns, " x ", part.depth);
  if (pack_a) pack_six({a.data, a.column, a.row}, rows, part.depth, packed_a);
  for (std::int64_t j = 0; j < part.columns; j += kColumns) {
    const Tile tile{pack_a ? packed_a : a.data, a.row, b.data + j * b.depth + part.first * kColumns, part.depth, c + j, c_row};
    multiply_any(pack_a, rows, std::min(kColumns, part.columns - j), tile, {alpha, 0, nullptr});
  }
}

#pragma GCC pop_options

namespace {

Strided strided(const TensorView& view) { return {view.as<const float>(), view.strides[0], view.strides[1]}; }

/// Memory of `count` workers, kept by the calling thread: allocated where an exception may be thrown, and not anew at every call.
Packed* worker_memory(std::int64_t count) {
  thread_local std::unique_ptr<Packed[]> kept;
  thread_local std::int64_t size = 0;
  if (size < count) {
    kept.reset();
    size = 0;
    kept = std::make_unique_for_overwrite<Packed[]>(static_cast<std::size_t>(count));
    size = count;
  }
  return kept.get();
}

}  // namespace

bool has_tile_gemm() noexcept {
  // The vendor's kernels are wider on Intel's processors with AVX-512; on AMD's (Zen 4, Zen 5) they are slower than these in a whole step.
  static const bool has = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && (!__builtin_cpu_supports("avx512f") || __builtin_cpu_is("amd"));
  return has;
}

bool tile_gemm(double alpha, const TensorView& a_MK, const TensorView& b_KN, double beta, const TensorView& c_MN, const TensorView& bias_N) {
  const std::int64_t rows = c_MN.shape[0], columns = c_MN.shape[1], depth = a_MK.shape[1];
  const bool fits = has_tile_gemm() && c_MN.dtype == DType::f32 && a_MK.dtype == DType::f32 && b_KN.dtype == DType::f32 && c_MN.strides[1] == 1 &&
                    (bias_N.data == nullptr || bias_N.strides[0] == 1) && rows >= kSmallestRows && columns >= kSmallestColumns && depth >= kSmallestDepth;
  if (!fits) return false;
  const Product product{rows, columns, depth, static_cast<float>(alpha), static_cast<float>(beta), strided(a_MK), strided(b_KN), c_MN.as<float>(),
                        c_MN.strides[0], bias_N.as<const float>()};
  // A task packs its columns of b itself, so it should have many rows; every thread should have a task.
  const std::int64_t wanted = std::min<std::int64_t>(thread_count(), (rows + kRowBlock - 1) / kRowBlock);
  const std::int64_t share = ((rows + wanted - 1) / wanted + kRows - 1) / kRows * kRows;
  const std::int64_t row_parts = (rows + share - 1) / share, column_parts = (columns + kColumnBlock - 1) / kColumnBlock;
  // Neighbouring tasks share rows of a: a worker takes neighbours.
  const std::int64_t tasks = row_parts * column_parts, workers = std::min(tasks, worker_count());
  Packed* const memory = worker_memory(workers);
  parallel_for(workers, rows * columns * (depth + 8) / 8, [&](std::int64_t worker) {
    for (std::int64_t task = tasks * worker / workers; task < tasks * (worker + 1) / workers; ++task) {
      const std::int64_t row = task / column_parts * share, column = task % column_parts * kColumnBlock;
      multiply_block(part(product, row, std::min(share, rows - row), column, std::min(kColumnBlock, columns - column)), memory[worker]);
    }
  });
  return true;
}

}  // namespace panther::cpu
