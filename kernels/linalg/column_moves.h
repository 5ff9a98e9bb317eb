#pragma once
// Which columns must move so that chosen ones come first: as few as possible.
#include <cstdint>
#include <span>
#include <vector>

#include "kernels/export.h"

namespace panther::linalg {

/// The chosen columns go to positions 0, 1, ...; those that stood there and were not chosen fill the places that became free.
struct ColumnMoves {
  std::vector<std::int64_t> sources;  ///< what to gather: the chosen ones, then the displaced ones
  std::vector<std::int64_t> targets;  ///< where the displaced ones go; sources has targets.size() more entries than were chosen
};

PANTHER_KERNELS_API ColumnMoves moves_to_front(std::span<const std::int64_t> chosen);

}  // namespace panther::linalg
