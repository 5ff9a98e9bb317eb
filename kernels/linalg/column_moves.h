#pragma once
// Which columns must move so that chosen ones come first: as few as possible.
#include <cstdint>
#include <span>
#include <vector>

#include "kernels/export.h"

namespace panther::linalg {

/// Column sources[i] goes to place targets[i]; all others stay.
struct ColumnMoves {
  std::vector<std::int64_t> sources, targets;
};

/// The chosen columns go to places 0, 1, ...; those that stood there and were not chosen fill the places that became free. The chosen ones come first.
PANTHER_KERNELS_API ColumnMoves moves_to_front(std::span<const std::int64_t> chosen);
/// Column order[j] goes to place j, for every j where that is another.
PANTHER_KERNELS_API ColumnMoves moves_of(std::span<const std::int64_t> order);

}  // namespace panther::linalg
