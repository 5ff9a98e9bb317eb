#pragma once
// An f32 matrix product for processors with AVX2 and fused multiply-add, or with AVX-512: left operands whose rows lie close are read
// where they are, only the right one is repacked. Which of the two runs is asked of the processor; tile_kernels.h can force it.
#include <cstdint>

#include "kernels/export.h"
#include "kernels/view.h"

namespace panther::cpu {

/// False where the processor has no AVX2.
PANTHER_KERNELS_API bool has_tile_gemm() noexcept;

/// As KernelSet::gemm. False, with c untouched, when the product is not for this kernel: another dtype, columns of c that are not
/// adjacent, sizes too small to pay, or a processor whose products are the vendor's (tile_kernels.h). An element depends on K's blocking alone, never
/// on threads, nor on which instructions: both forms add the same products in the same order.
PANTHER_KERNELS_API bool tile_gemm(double alpha, const TensorView& a_MK, const TensorView& b_KN, double beta, const TensorView& c_MN,
                                   const TensorView& bias_N);

/// For which sizes tiles are asked: where packing pays, or for all, when the bits must not depend on how many rows or columns are asked for.
enum class TileSizes { worthwhile, all };

/// Whether tile_gemm_any_layout() takes a product: where tiles are faster than the vendor's kernels, with AVX-512 and enough depth. Reads no data.
PANTHER_KERNELS_API bool tiles_are_faster(const TensorView& a_MK, const TensorView& b_KN, const TensorView& c_MN, const TensorView& bias_N,
                                          TileSizes sizes = TileSizes::worthwhile) noexcept;

/// As tile_gemm(), but for a c stored by columns too (without a bias), whose bits are those of one stored by rows. False, with c untouched, unless
/// tiles_are_faster().
PANTHER_KERNELS_API bool tile_gemm_any_layout(double alpha, const TensorView& a_MK, const TensorView& b_KN, double beta, const TensorView& c_MN,
                                              const TensorView& bias_N, TileSizes sizes = TileSizes::worthwhile);

/// A matrix of f32 in memory; strides in elements.
struct Strided {
  const float* data = nullptr;
  std::int64_t row = 0;
  std::int64_t column = 0;
};

/// The right operand of many products with one packing. Needs has_tile_gemm(), as all below; on the calling thread.
struct Slivers {
  const float* data = nullptr;   ///< 64-byte aligned; tile_pack() filled it
  std::int64_t columns = 0;
  std::int64_t depth = 0;        ///< as packed; a product may use a part of it
};

/// Columns of the widest sliver, and most rows of a tile.
inline constexpr std::int64_t kWidestSliver = 32, kMostTileRows = 8;

/// b (depth x columns) into `memory`, which holds tile_floats(columns, depth).
PANTHER_KERNELS_API Slivers tile_pack(Strided b, std::int64_t columns, std::int64_t depth, float* memory);
constexpr std::int64_t tile_floats(std::int64_t columns, std::int64_t depth) { return (columns + kWidestSliver - 1) / kWidestSliver * kWidestSliver * depth; }

/// Which part of a packed operand a product uses: its first `columns`, and `depth` rows from `first` on.
struct SliverPart {
  std::int64_t columns = 0;
  std::int64_t first = 0;
  std::int64_t depth = 0;
};

/// How many rows of a tile_rows() takes: at most kMostTileRows.
PANTHER_KERNELS_API std::int64_t tile_row_count() noexcept;

/// c (rows x part.columns, `c_row` between rows) = alpha a b. At most tile_row_count() rows of a. a.column == 1 reads a in place; a.row == 1
/// is a transposed a.
PANTHER_KERNELS_API void tile_rows(std::int64_t rows, float alpha, Strided a, const Slivers& b, SliverPart part, float* c, std::int64_t c_row);

}  // namespace panther::cpu
