#include "comm/collective.h"

#include "comm/backends/chunks.h"

namespace panther::comm {

Collective::~Collective() = default;

std::int64_t ring_bytes_sent(std::int64_t bytes, int rank, int ranks) noexcept {
  if (ranks == 1) return 0;
  const Chunks chunks = Chunks::even(bytes, ranks);
  return 2 * bytes - chunks.size(rank) - chunks.size((rank + 1) % ranks);
}

}  // namespace panther::comm
