#pragma once
// Launch geometry of the sparse sketches as pure functions, so that it is tested without a GPU.
#include <algorithm>
#include <cstdint>

#include "kernels/cuda/launch_plan.h"

namespace panther::cuda {

/// Rows of a that one chunk covers: each is read as often as it has entries, so a chunk should stay in the L2 cache (40 MB on an A100, 50 on
/// an H100).
inline constexpr std::int64_t kSparseChunkBytes = std::int64_t{16} << 20;
/// Entries of a chunk: what sorting them needs is some 40 bytes each.
inline constexpr std::int64_t kSparseChunkEntries = std::int64_t{1} << 20;
/// Entries that a block of the gather kernel makes in shared memory, 16 bytes each.
inline constexpr int kGatherEntries = 2048;
inline constexpr int kGatherMajors = 64;

/// Chunks of major vectors of a scatter. Entries are added in ascending order of major vectors whatever the chunks.
struct ScatterChunks {
  std::int64_t majors = 0;  ///< of a chunk, at least 1
  std::int64_t chunks = 0;
  std::int64_t entries = 0;  ///< of a full chunk
};

inline ScatterChunks plan_scatter_chunks(std::int64_t majors, int nonzeros, std::int64_t row_bytes) {
  ScatterChunks plan;
  plan.majors = std::min({std::max<std::int64_t>(kSparseChunkBytes / std::max<std::int64_t>(row_bytes, 1), 1024),
                          std::max<std::int64_t>(kSparseChunkEntries / nonzeros, 1), majors});
  plan.chunks = divide_up(majors, plan.majors);
  plan.entries = plan.majors * nonzeros;
  return plan;
}

/// A scatter whose sums for 32 columns fit into shared memory reads a once: blocks take a slab of columns and a part of the major vectors, warps own places.
inline constexpr int kSlabColumns = 32;
inline constexpr int kSlabThreads = 512;
inline constexpr int kSlabRows = 128;                                   ///< of a that stand in shared memory at a time
inline constexpr std::int64_t kSlabSharedBytes = 220 * 1024;             ///< of the 227 KiB that a block may have on Hopper
inline constexpr int kSlabSmallestMajors = 8192;                         ///< below, the other form's launches cost less than this one's fill

struct SlabPlan {
  bool fits = false;
  std::int64_t shared_bytes = 0;
  int parts = 1;                                                         ///< of the major vectors; their sums are added in order
  std::int64_t majors_per_part = 0;                                      ///< a multiple of kSlabRows
};

/// Depends on the shape alone, so that sums do.
inline SlabPlan plan_slabs(std::int64_t majors, std::int64_t minors, std::int64_t columns, int nonzeros, std::int64_t accumulator_bytes) {
  SlabPlan plan;
  const std::int64_t entries = std::int64_t{kSlabRows} * nonzeros;
  plan.shared_bytes = (minors * kSlabColumns + kSlabRows * (kSlabColumns + 1) + entries) * accumulator_bytes + entries * 4;
  plan.fits = plan.shared_bytes <= kSlabSharedBytes && majors >= kSlabSmallestMajors && columns >= kSlabColumns && nonzeros <= 8;
  const std::int64_t slabs = divide_up(columns, kSlabColumns), wanted = std::clamp<std::int64_t>(128 / slabs, 1, 64);
  plan.majors_per_part = divide_up(divide_up(majors, wanted), kSlabRows) * kSlabRows;
  plan.parts = static_cast<int>(divide_up(majors, plan.majors_per_part));
  return plan;
}

/// Bits that tell `minors` places and one more, which stands for "outside the window", apart.
inline int key_bits(std::int64_t minors) {
  int bits = 1;
  while ((std::int64_t{1} << bits) < minors + 1) ++bits;
  return bits;
}

/// Major vectors of one block of the gather kernel.
inline int plan_gather_majors(int nonzeros) { return std::clamp(kGatherEntries / nonzeros, 1, kGatherMajors); }

}  // namespace panther::cuda
