#include "kernels/cpu/tile_gemm.h"

#include <algorithm>
#include <memory>

#include "core/error.h"
#include "kernels/cpu/parallel.h"
#include "kernels/cpu/tile_kernels.h"
#include "kernels/cpu/transpose.h"

namespace panther::cpu {
namespace {

/// Below this, packing costs more than the product saves.
constexpr std::int64_t kSmallestRows = 32, kSmallestColumns = 16, kSmallestDepth = 16;
/// Below, c is most of the memory that moves, and rows of c 4 KiB apart cost the tiles a third of the vendor's speed.
constexpr std::int64_t kLeastFasterDepth = 32;

const TileKernels* g_forced = nullptr;

const TileKernels* own_kernels() noexcept {
  switch (tile_form(tile_processor())) {
    case TileForm::avx512: return tile_kernels_avx512();
    case TileForm::avx2: return tile_kernels_avx2();
    case TileForm::none: break;
  }
  return nullptr;
}

const TileKernels* kernels() noexcept {
  static const TileKernels* const own = own_kernels();
  return g_forced != nullptr ? g_forced : own;
}

/// Of whole products; nullptr leaves them to the vendor.
const TileKernels* product_kernels() noexcept {
  static const bool taken = tiles_take_products(tile_processor());
  return taken || g_forced != nullptr ? kernels() : nullptr;
}

const TileKernels& needed_kernels(const char* who) {
  const TileKernels* const chosen = kernels();
  PANTHER_CHECK(chosen != nullptr, who, " without has_tile_gemm()");
  return *chosen;
}

/// Rows [row, row + rows) and columns [column, column + columns) of a product.
TileProduct part(const TileProduct& whole, std::int64_t row, std::int64_t rows, std::int64_t column, std::int64_t columns) {
  TileProduct result = whole;
  result.rows = rows;
  result.columns = columns;
  result.a.data += row * whole.a.row;
  result.b.data += column * whole.b.column;
  result.c += row * whole.c_row + column;
  if (whole.bias != nullptr) result.bias += column;
  return result;
}

Strided strided(const TensorView& view) { return {view.as<const float>(), view.strides[0], view.strides[1]}; }

bool readable(const TensorView& a_MK, const TensorView& b_KN, const TensorView& c_MN, const TensorView& bias_N) noexcept {
  return product_kernels() != nullptr && c_MN.dtype == DType::f32 && a_MK.dtype == DType::f32 && b_KN.dtype == DType::f32 && c_MN.strides[1] == 1 &&
         (bias_N.data == nullptr || bias_N.strides[0] == 1);
}

bool worthwhile(const TensorView& a_MK, const TensorView& c_MN) noexcept {
  return c_MN.shape[0] >= kSmallestRows && c_MN.shape[1] >= kSmallestColumns && a_MK.shape[1] >= kSmallestDepth;
}

/// How tiles take a product that they are faster at.
enum class TiledAs : std::uint8_t {
  nothing,  ///< they are not
  rows,     ///< as it is
  columns,  ///< c stored by columns: as c^T = b^T a^T, or transposed at the end
};

/// OpenBLAS with its AVX2 kernels is slower than tiles of AVX-512, with its AVX-512 ones (Intel) it is not; AVX2's own tiles are no faster than those.
TiledAs tiled_as(const TensorView& a_MK, const TensorView& b_KN, const TensorView& c_MN, const TensorView& bias_N, TileSizes sizes) noexcept {
  static const bool faster = tile_form(tile_processor()) == TileForm::avx512 && tiles_take_products(tile_processor());
  if (!faster || a_MK.shape[1] < kLeastFasterDepth) return TiledAs::nothing;
  const auto fits = [sizes](const TensorView& a, const TensorView& b, const TensorView& c, const TensorView& bias) {
    return readable(a, b, c, bias) && (sizes == TileSizes::all || worthwhile(a, c));
  };
  if (fits(a_MK, b_KN, c_MN, bias_N)) return TiledAs::rows;
  return bias_N.data == nullptr && fits(b_KN.transposed(), a_MK.transposed(), c_MN.transposed(), {}) ? TiledAs::columns : TiledAs::nothing;
}

/// Memory of `count` workers, kept by the calling thread: allocated where an exception may be thrown, and not anew at every call.
TileMemory* worker_memory(std::int64_t count) {
  thread_local std::unique_ptr<TileMemory[]> kept;
  thread_local std::int64_t size = 0;
  if (size < count) {
    kept.reset();
    size = 0;
    kept = std::make_unique_for_overwrite<TileMemory[]>(static_cast<std::size_t>(count));
    size = count;
  }
  return kept.get();
}

}  // namespace

bool has_tile_gemm() noexcept { return kernels() != nullptr; }

void force_tile_kernels(const TileKernels* forced) noexcept { g_forced = forced; }

Slivers tile_pack(Strided b, std::int64_t columns, std::int64_t depth, float* memory) {
  needed_kernels("tile_pack").pack(b, columns, depth, memory);
  return {memory, columns, depth};
}

std::int64_t tile_row_count() noexcept { return kernels() != nullptr ? kernels()->rows : kMostTileRows; }

void tile_rows(std::int64_t rows, float alpha, Strided a, const Slivers& b, SliverPart part, float* c, std::int64_t c_row) {
  needed_kernels("tile_rows").multiply_rows(rows, alpha, a, b, part, c, c_row);
}

namespace {

constexpr std::int64_t kTransposedFloats = 256 * 1024;

/// For readable() operands.
void multiply(double alpha, const TensorView& a_MK, const TensorView& b_KN, double beta, const TensorView& c_MN, const TensorView& bias_N) {
  const std::int64_t rows = c_MN.shape[0], columns = c_MN.shape[1], depth = a_MK.shape[1];
  const TileKernels* const chosen = kernels();
  const TileProduct product{rows, columns, depth, static_cast<float>(alpha), static_cast<float>(beta), strided(a_MK), strided(b_KN), c_MN.as<float>(),
                            c_MN.strides[0], bias_N.as<const float>()};
  // A task packs its columns of b itself, so it should have many rows; every thread should have a task.
  const std::int64_t wanted = std::min<std::int64_t>(thread_count(), (rows + kTileRowBlock - 1) / kTileRowBlock);
  const std::int64_t share = ((rows + wanted - 1) / wanted + chosen->rows - 1) / chosen->rows * chosen->rows;
  const std::int64_t row_parts = (rows + share - 1) / share, column_parts = (columns + kTileColumnBlock - 1) / kTileColumnBlock;
  // Neighbouring tasks share rows of a: a worker takes neighbours.
  const std::int64_t tasks = row_parts * column_parts, workers = std::min(tasks, worker_count());
  TileMemory* const memory = worker_memory(workers);
  parallel_for(workers, rows * columns * (depth + 8) / 8, [&](std::int64_t worker) {
    for (std::int64_t task = tasks * worker / workers; task < tasks * (worker + 1) / workers; ++task) {
      const std::int64_t row = task / column_parts * share, column = task % column_parts * kTileColumnBlock;
      chosen->multiply_block(part(product, row, std::min(share, rows - row), column, std::min(kTileColumnBlock, columns - column)), memory[worker]);
    }
  });
}

/// A c stored by columns of a tall a stored by rows: as c^T = b^T a^T all of a would be packed, for few rows of b^T. Read where it lies it is not,
/// and the small c is transposed instead.
bool worth_transposing(const TensorView& a_MK, double beta, const TensorView& c_MN) {
  return beta == 0 && a_MK.strides[1] == 1 && c_MN.shape[0] >= 4 * c_MN.shape[1] && c_MN.shape[1] >= kSmallestColumns && 4 * c_MN.shape[1] * kSmallestRows <= kTransposedFloats;
}

void multiply_then_transpose(double alpha, const TensorView& a_MK, const TensorView& b_KN, const TensorView& c_MN) {
  thread_local std::unique_ptr<float[]> kept = std::make_unique_for_overwrite<float[]>(kTransposedFloats);
  const std::int64_t columns = c_MN.shape[1], rows = c_MN.shape[0], parts = (rows * columns + kTransposedFloats - 1) / kTransposedFloats;
  for (std::int64_t part = 0; part < parts; ++part) {
    const std::int64_t first = rows * part / parts, count = rows * (part + 1) / parts - first;
    const TensorView sums(kept.get(), DType::f32, {count, columns}), target = c_MN.slice(first, count);
    multiply(alpha, a_MK.slice(first, count), b_KN, 0, sums, {});
    parallel_for((columns + 3) / 4, count * columns, [&](std::int64_t four) {
      const std::int64_t begin = 4 * four, end = std::min(columns, begin + 4), whole = end - begin == 4 ? count / 4 * 4 : 0;
      const float* from = sums.as<const float>();
      float* to = target.as<float>();
      for (std::int64_t i = 0; i < whole; i += 4) transpose_four(from + i * columns + begin, columns, to + begin * target.strides[1] + i, target.strides[1]);
      for (std::int64_t j = begin; j < end; ++j) {
        for (std::int64_t i = whole; i < count; ++i) to[j * target.strides[1] + i] = from[i * columns + j];
      }
    });
  }
}

}  // namespace

bool tile_gemm(double alpha, const TensorView& a_MK, const TensorView& b_KN, double beta, const TensorView& c_MN, const TensorView& bias_N) {
  if (!readable(a_MK, b_KN, c_MN, bias_N) || !worthwhile(a_MK, c_MN)) return false;
  multiply(alpha, a_MK, b_KN, beta, c_MN, bias_N);
  return true;
}

bool tiles_are_faster(const TensorView& a_MK, const TensorView& b_KN, const TensorView& c_MN, const TensorView& bias_N, TileSizes sizes) noexcept {
  return tiled_as(a_MK, b_KN, c_MN, bias_N, sizes) != TiledAs::nothing;
}

bool tile_gemm_any_layout(double alpha, const TensorView& a_MK, const TensorView& b_KN, double beta, const TensorView& c_MN, const TensorView& bias_N,
                          TileSizes sizes) {
  const TiledAs as = tiled_as(a_MK, b_KN, c_MN, bias_N, sizes);
  if (as == TiledAs::nothing) return false;
  if (as == TiledAs::rows) multiply(alpha, a_MK, b_KN, beta, c_MN, bias_N);
  else if (worth_transposing(a_MK, beta, c_MN)) multiply_then_transpose(alpha, a_MK, b_KN, c_MN);
  else multiply(alpha, b_KN.transposed(), a_MK.transposed(), beta, c_MN.transposed(), {});
  return true;
}

}  // namespace panther::cpu
