#pragma once
// Launch geometry as pure functions, so that it is tested without a GPU.
#include <algorithm>
#include <cstdint>

#include "kernels/philox.h"

namespace panther::cuda {

inline constexpr int kThreads = 256;
inline constexpr int kWarp = 32;
/// Of a block of kThreads.
inline constexpr int kWarps = kThreads / kWarp;
/// Elements that one block handles in one turn of an elementwise kernel.
inline constexpr std::int64_t kChunk = 4096;
/// Blocks of an elementwise launch: enough for every GPU; each walks its chunks by the grid's stride.
inline constexpr std::int64_t kMaxBlocks = 4096;
/// Blocks of a reduction: fixed, so that the order of additions depends neither on the GPU nor on its load.
inline constexpr int kReduceBlocks = 512;
/// Tensors that one launch takes by value: its descriptors must fit into 4 KiB of kernel parameters.
inline constexpr int kTensorsPerLaunch = 40;

inline constexpr std::int64_t divide_up(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }

struct ElementwisePlan {
  unsigned blocks = 0;
  unsigned threads = kThreads;
};

/// Zero blocks for zero elements: nothing to launch.
inline ElementwisePlan plan_elementwise(std::int64_t elements) {
  return {static_cast<unsigned>(std::min(kMaxBlocks, divide_up(elements, kChunk))), kThreads};
}

/// Numbers the chunks of many tensors one after the other, so that one launch covers them all. Passed to kernels by value.
struct ChunkMap {
  int count = 0;
  std::int64_t chunks = 0;
  std::int64_t chunk_begin[kTensorsPerLaunch] = {};

  bool full() const { return count == kTensorsPerLaunch; }
  /// Appends a tensor and returns its place. Requires !full() and elements > 0.
  int add(std::int64_t elements) {
    chunk_begin[count] = chunks;
    chunks += divide_up(elements, kChunk);
    return count++;
  }
  /// The tensor that holds a chunk, looked for from tensor `from` on, which must not lie behind it.
  PANTHER_HOST_DEVICE int tensor_of(std::int64_t chunk, int from) const {
    while (from + 1 < count && chunk_begin[from + 1] <= chunk) ++from;
    return from;
  }
};

/// Tiles of a product kernel. The x axis of a grid may be 2^31 - 1 long, y only 65535: columns go on x, rows on y and, beyond
/// that, each block walks by the grid's height.
struct TilePlan {
  unsigned columns = 0;
  unsigned rows = 0;
};

inline TilePlan plan_tiles(std::int64_t rows, std::int64_t columns, std::int64_t tile_rows, std::int64_t tile_columns) {
  return {static_cast<unsigned>(divide_up(columns, tile_columns)), static_cast<unsigned>(std::min<std::int64_t>(65535, divide_up(rows, tile_rows)))};
}

/// Where the first tile begins before the product does, so that tiles start on whole generator blocks of the sketch.
struct TileOrigin {
  std::int64_t column = 0;
  std::int64_t depth = 0;
};

/// Depth runs over elements, `granule` of them a block.
inline constexpr TileOrigin project_origin(std::int64_t first_element, std::int64_t granule) { return {0, first_element % granule}; }
/// Columns run over elements.
inline constexpr TileOrigin lift_origin(std::int64_t first_element, std::int64_t granule) { return {first_element % granule, 0}; }

}  // namespace panther::cuda
