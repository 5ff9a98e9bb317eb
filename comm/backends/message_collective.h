#pragma once
// All collectives of host memory over a Transport. Which algorithm runs depends on sizes alone, so the bytes sent can be
// predicted and two runs give the same bits.
#include <memory>

#include "comm/backends/transport.h"
#include "comm/collective.h"

namespace panther::comm {

/// What an all_reduce does on a CPU backend.
enum class AllReduceAlgorithm : std::uint8_t {
  nothing,    ///< one rank
  whole,      ///< everybody sends everything to everybody: one step, for two ranks and for small messages
  by_owners,  ///< each chunk's owner collects, reduces and sends it to all: two steps, small messages of many ranks
  ring,       ///< 2 bytes (p - 1) / p; sums of halves collect directly instead of along the ring, with the same bytes
};
AllReduceAlgorithm choose_all_reduce(std::int64_t bytes, int ranks) noexcept;

PANTHER_COMM_API std::unique_ptr<Collective> make_message_collective(std::unique_ptr<Transport> transport);

}  // namespace panther::comm
