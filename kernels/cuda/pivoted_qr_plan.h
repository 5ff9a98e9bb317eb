#pragma once
// How the columns of a small matrix are dealt to thread blocks that keep them in shared memory, as a pure function, so that it is tested without a GPU.
#include <algorithm>
#include <cstdint>
#include <optional>

#include "kernels/cuda/launch_plan.h"

namespace panther::cuda {

inline constexpr int kPivotThreads = 512;
inline constexpr int kPivotWarps = kPivotThreads / kWarp;

/// Block b holds columns b, b + blocks, b + 2 blocks, ...: at most columns_per_block of them.
struct ColumnDeal {
  unsigned blocks = 0;
  std::int64_t columns_per_block = 0;
  std::size_t shared_bytes = 0;  ///< of a block: its columns, a norm and a place for each, and one reflector
};

/// nullopt where the matrix does not fit into the shared memory of all multiprocessors. A warp updates a column at a time, so blocks beyond one column a
/// warp only make the barrier of each step slower.
inline std::optional<ColumnDeal> deal_columns(std::int64_t rows, std::int64_t columns, std::int64_t element_bytes, int multiprocessors, std::int64_t shared_limit) {
  const std::int64_t column_bytes = rows * element_bytes + 16, fitting = (shared_limit - rows * element_bytes) / std::max<std::int64_t>(column_bytes, 1);
  if (columns < 1 || rows < 1 || fitting < 1) return std::nullopt;
  const std::int64_t blocks = divide_up(columns, std::min<std::int64_t>(fitting, kPivotWarps)), most = multiprocessors;
  ColumnDeal deal;
  deal.blocks = static_cast<unsigned>(std::min(blocks, most));
  deal.columns_per_block = divide_up(columns, deal.blocks);
  if (deal.columns_per_block > fitting) return std::nullopt;
  deal.shared_bytes = static_cast<std::size_t>(deal.columns_per_block * column_bytes + rows * element_bytes);
  return deal;
}

}  // namespace panther::cuda
