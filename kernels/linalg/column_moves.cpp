#include "kernels/linalg/column_moves.h"

namespace panther::linalg {

ColumnMoves moves_to_front(std::span<const std::int64_t> chosen) {
  const auto count = static_cast<std::int64_t>(chosen.size());
  std::vector<bool> stays(chosen.size(), false);
  ColumnMoves moves{{chosen.begin(), chosen.end()}, {}};
  for (const std::int64_t column : chosen) {
    if (column < count) stays[static_cast<std::size_t>(column)] = true;
    else moves.targets.push_back(column);
  }
  for (std::int64_t place = 0; place < count; ++place) {
    if (!stays[static_cast<std::size_t>(place)]) moves.sources.push_back(place);
  }
  return moves;
}

}  // namespace panther::linalg
