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

/// Bits that tell `minors` places and one more, which stands for "outside the window", apart.
inline int key_bits(std::int64_t minors) {
  int bits = 1;
  while ((std::int64_t{1} << bits) < minors + 1) ++bits;
  return bits;
}

/// Major vectors of one block of the gather kernel.
inline int plan_gather_majors(int nonzeros) { return std::clamp(kGatherEntries / nonzeros, 1, kGatherMajors); }

}  // namespace panther::cuda
