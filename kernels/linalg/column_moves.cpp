#include "kernels/linalg/column_moves.h"

#include <numeric>

namespace panther::linalg {

ColumnMoves moves_to_front(std::span<const std::int64_t> chosen) {
  const auto count = static_cast<std::int64_t>(chosen.size());
  std::vector<bool> stays(chosen.size(), false);
  ColumnMoves moves{{chosen.begin(), chosen.end()}, std::vector<std::int64_t>(chosen.size())};
  std::iota(moves.targets.begin(), moves.targets.end(), 0);
  for (const std::int64_t column : chosen) {
    if (column < count) stays[static_cast<std::size_t>(column)] = true;
    else moves.targets.push_back(column);
  }
  for (std::int64_t place = 0; place < count; ++place) {
    if (!stays[static_cast<std::size_t>(place)]) moves.sources.push_back(place);
  }
  return moves;
}

ColumnMoves moves_of(std::span<const std::int64_t> order) {
  ColumnMoves moves;
  for (std::size_t place = 0; place < order.size(); ++place) {
    if (order[place] == static_cast<std::int64_t>(place)) continue;
    moves.sources.push_back(order[place]);
    moves.targets.push_back(static_cast<std::int64_t>(place));
  }
  return moves;
}

}  // namespace panther::linalg
