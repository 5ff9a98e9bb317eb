#pragma once
// How products with thin factors are cut over thread blocks.
#include <algorithm>
#include <cstdint>

#include "kernels/cuda/launch_plan.h"

namespace panther::cuda {

/// Thread blocks that keep a GPU busy: two for each of about 130 multiprocessors.
inline constexpr std::int64_t kBusyBlocks = 264;

/// Columns of the matrix that a thread block of project_transposed owns: 32, a lane each, or fewer where that leaves multiprocessors idle; never less than a
/// sector of 32 bytes.
inline int transposed_width(std::int64_t columns) {
  int width = 32;
  while (width > 8 && divide_up(columns, width) < kBusyBlocks) width /= 2;
  return width;
}

/// How many columns of the factor one sweep over the matrix takes.
inline int transposed_ranks(std::int64_t rank) {
  int ranks = 4;
  while (ranks < 32 && ranks < rank) ranks *= 2;
  return ranks;
}

}  // namespace panther::cuda
