#pragma once
// Reductions of host memory inside one rank.
#include <cstdint>
#include <span>

#include "comm/collective.h"

namespace panther::comm {

/// into[i] = op(into[i], from[i]) over `bytes` bytes. Integers wrap; min and max give nan where either is nan. Not for
/// sums of bf16 and f16, which would round at every rank (use reduce_ordered).
void reduce_into(void* into, const void* from, std::int64_t bytes, DType dtype, ReduceOp op);

/// into[i] = op over all sources, in the order given; bf16 and f16 sums accumulate in f32 and round once. `into` may be a
/// source; nothing else may overlap.
void reduce_ordered(std::span<const void* const> sources, void* into, std::int64_t bytes, DType dtype, ReduceOp op);

/// Sums of these round at every addition, so they are never summed pairwise.
constexpr bool needs_wide_sum(DType dtype, ReduceOp op) noexcept {
  return op == ReduceOp::sum && (dtype == DType::bf16 || dtype == DType::f16);
}

}  // namespace panther::comm
