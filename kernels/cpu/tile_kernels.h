#pragma once
// The forms of tile_gemm.h's product, one for each width of vectors, and the choice among them.
#include <cstdint>

#include "kernels/cpu/tile_gemm.h"
#include "kernels/export.h"

namespace panther::cpu {

/// Blocks of a product: rows of a that share a block of b in the second-level cache.
inline constexpr std::int64_t kTileRowBlock = 96, kTileColumnBlock = 256, kTileDepthBlock = 256;
/// Longest depth of a transposed left operand of tile_rows().
inline constexpr std::int64_t kLongestTileDepth = 1024;

/// c = alpha a b + beta c + bias, where beta == 0 does not read c.
struct TileProduct {
  std::int64_t rows = 0, columns = 0, depth = 0;
  float alpha = 1, beta = 0;
  Strided a, b;
  float* c = nullptr;
  std::int64_t c_row = 0;
  const float* bias = nullptr;
};

/// Packed blocks of one worker: 352 KiB, too much for the stack of a worker thread (OMP_STACKSIZE).
struct TileMemory {
  alignas(64) float b[kTileColumnBlock * kTileDepthBlock];
  alignas(64) float a[kTileRowBlock * kTileDepthBlock];
};

/// One form: its tile's size, and what tile_gemm.h says of tile_pack() and tile_rows().
struct TileKernels {
  const char* name = "";
  std::int64_t rows = 0, columns = 0;
  /// At most kTileColumnBlock columns, on the calling thread.
  void (*multiply_block)(const TileProduct& product, TileMemory& memory) = nullptr;
  void (*pack)(Strided b, std::int64_t columns, std::int64_t depth, float* memory) = nullptr;
  void (*multiply_rows)(std::int64_t rows, float alpha, Strided a, const Slivers& b, SliverPart part, float* c, std::int64_t c_row) = nullptr;
};

/// nullptr where this processor has not the instructions.
PANTHER_KERNELS_API const TileKernels* tile_kernels_avx2() noexcept;
PANTHER_KERNELS_API const TileKernels* tile_kernels_avx512() noexcept;

/// What the choice looks at.
struct TileProcessor {
  bool avx2 = false;    ///< with fused multiply-add
  bool avx512 = false;  ///< F, VL, BW and DQ
  bool amd = false;
};
TileProcessor tile_processor() noexcept;

enum class TileForm { none, avx2, avx512 };

constexpr TileForm tile_form(const TileProcessor& processor) noexcept {
  if (processor.avx512) return TileForm::avx512;
  return processor.avx2 ? TileForm::avx2 : TileForm::none;
}

/// Whether tiles take whole products from the vendor's kernels: MKL and OpenBLAS keep to AVX2 on AMD's processors with AVX-512 (Zen 4, Zen 5); on Intel's they
/// are as wide, as fast at width 256 and up to a quarter faster beyond (docs/performance.md).
constexpr bool tiles_take_products(const TileProcessor& processor) noexcept { return processor.amd || !processor.avx512; }

/// For tests and benches, on one thread while no product runs: everything of tile_gemm.h takes `kernels` from now on, nullptr the processor's own form again.
PANTHER_KERNELS_API void force_tile_kernels(const TileKernels* kernels) noexcept;

}  // namespace panther::cpu
