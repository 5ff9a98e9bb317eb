#pragma once
// Launch geometry of the sparse sketches as pure functions, so that it is tested without a GPU.
#include <algorithm>
#include <cstdint>

#include "kernels/cuda/launch_plan.h"

namespace panther::cuda {

/// Entries of a chunk: what sorting them needs is some 30 bytes each.
inline constexpr std::int64_t kScatterEntries = std::int64_t{1} << 20;
/// Rows of a chunk that is turned first.
inline constexpr std::int64_t kTurnedBytes = std::int64_t{128} << 20;
/// Rows of a part in what a warp reads of each, 512 bytes: an entry's row is read as often as it has entries, and meanwhile should stay in the L2 cache.
inline constexpr std::int64_t kPartMajors = 16384;

/// Entries that a block of the gather kernel makes in shared memory, 16 bytes each.
inline constexpr int kGatherEntries = 2048;
inline constexpr int kGatherMajors = 64;

/// Warps that keep a GPU busy.
inline constexpr std::int64_t kScatterWarps = 8192;

/// A scatter goes by chunks of major vectors, whose entries are sorted at once, and these by parts, whose sums are added in order.
struct ScatterPlan {
  std::int64_t majors = 0;  ///< of a chunk, at least 1
  std::int64_t chunks = 0;
  std::int64_t entries = 0;  ///< of a full chunk
  std::int64_t majors_per_part = 0;
  std::int64_t parts = 0;  ///< of a full chunk; the last ones of the last may be empty
};

/// Depends on the shape alone, so that sums do. Fewer parts where their sums would take more than the rows themselves.
inline ScatterPlan plan_scatter(std::int64_t majors, std::int64_t minors, int nonzeros, std::int64_t row_bytes, bool turned) {
  ScatterPlan plan;
  plan.majors = std::min(std::max<std::int64_t>(kScatterEntries / nonzeros, 1), majors);
  if (turned) plan.majors = std::min(plan.majors, std::max<std::int64_t>(kTurnedBytes / std::max<std::int64_t>(row_bytes, 1), 1024));
  plan.chunks = divide_up(majors, plan.majors);
  plan.entries = plan.majors * nonzeros;
  // Rows that are read once need no cache, only warps enough for every GPU.
  const std::int64_t warps = minors * divide_up(row_bytes, 512), wanted = nonzeros == 1 ? divide_up(kScatterWarps, std::max<std::int64_t>(warps, 1)) : plan.majors;
  plan.majors_per_part = std::min(plan.majors, std::max({kPartMajors, 4 * minors, divide_up(plan.majors, wanted)}));
  plan.parts = divide_up(plan.majors, plan.majors_per_part);
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
