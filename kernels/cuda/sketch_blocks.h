#pragma once
// Products with large dense sketches: S is made block by block, in memory that stays in the L2 cache, and multiplied by cuBLASLt on the tensor
// cores. Small ones, and real entries beside two-byte data (S is exact in f32 only), take the kernel of tile_product.cu.
#include <algorithm>
#include <cstdint>

#include "kernels/sketch/dense_kernels.h"

namespace panther::cuda {

inline constexpr std::int64_t kSketchBlockBytes = std::int64_t{16} << 20;
/// Multiplications below which the tile kernel's single launch is cheaper.
inline constexpr double kSmallestBlockwiseProducts = 1 << 26;

/// Elements of S that stand at a time: whole Philox blocks of signs, at most kSketchBlockBytes and an eighth of S. Pure.
inline std::int64_t sketch_block_elements(std::int64_t vectors, std::int64_t elements, std::int64_t element_bytes) {
  const std::int64_t by_bytes = kSketchBlockBytes / std::max<std::int64_t>(1, vectors * element_bytes), by_share = elements / 8;
  return std::max<std::int64_t>(128, std::min(by_bytes, by_share) / 128 * 128);
}

/// False where the other kernel should do it. As DenseSketchKernels' entries.
bool project_by_blocks(const DenseSketch& sketch, double alpha, const TensorView& x_BE, double beta, const TensorView& out_BV, Allocator& allocator, Stream stream);
bool lift_by_blocks(const DenseSketch& sketch, double alpha, const TensorView& x_BV, double beta, const TensorView& out_BE, Allocator& allocator, Stream stream);

}  // namespace panther::cuda
