#pragma once
// Who takes a block of elements that share a scale.
#include <algorithm>
#include <cstdint>

#include "kernels/cuda/launch_plan.h"

namespace panther::cuda {

inline constexpr int kQuantizeQuads = 8;              ///< at most that a thread holds
inline constexpr std::int64_t kQuantizeMostBlocks = 1 << 20;

struct QuantizePlan {
  int team = 0;          ///< threads of a block of elements: a warp or a whole thread block
  int quads = 0;         ///< 4 elements each that a thread holds in registers; 0: more than fits, the block is read several times
  int threads = 0;       ///< of a thread block
  unsigned blocks = 0;
};

/// `block` elements share a scale; there are `blocks` such.
inline QuantizePlan plan_quantize(std::int64_t block, std::int64_t blocks) {
  QuantizePlan plan;
  for (const int team : {kWarp, 256, 512, 1024}) {
    plan.team = team;
    plan.quads = 1;
    while (plan.quads <= kQuantizeQuads && 4ll * team * plan.quads < block) plan.quads *= 2;
    if (plan.quads <= kQuantizeQuads) break;
    plan.quads = 0;
  }
  plan.threads = std::max(plan.team, kThreads);
  plan.blocks = static_cast<unsigned>(std::min(kQuantizeMostBlocks, divide_up(blocks, plan.threads / plan.team)));
  return plan;
}

}  // namespace panther::cuda
