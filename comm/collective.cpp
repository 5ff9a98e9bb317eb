#include "comm/collective.h"

#include "comm/backends/chunks.h"
#include "core/error.h"

namespace panther::comm {

Collective::~Collective() = default;

std::unique_ptr<Collective> Collective::split(int, Deadline) { fail(ErrorCode::Unsupported, "comm.backend = ", backend(), " cannot make groups of some of its ranks"); }

std::int64_t Collective::broadcast_bytes_sent(std::int64_t bytes, int root) const noexcept { return (rank() + 1) % size() == root ? 0 : bytes; }

std::vector<int> ranks_of_color(std::span<const std::int64_t> colors, int color) {
  std::vector<int> ranks;
  for (std::size_t rank = 0; rank < colors.size(); ++rank) {
    if (color >= 0 && colors[rank] == color) ranks.push_back(static_cast<int>(rank));
  }
  return ranks;
}

std::int64_t ring_bytes_sent(std::int64_t bytes, int rank, int ranks) noexcept {
  if (ranks == 1) return 0;
  const Chunks chunks = Chunks::even(bytes, ranks);
  return 2 * bytes - chunks.size(rank) - chunks.size((rank + 1) % ranks);
}

}  // namespace panther::comm
