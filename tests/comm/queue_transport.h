#pragma once
// A Transport among threads of one process that counts bytes: messages are copied into queues.
#include <memory>
#include <vector>

#include "comm/backends/transport.h"

namespace panther::comm::testing {

struct QueueCounts {
  std::vector<std::int64_t> bytes_sent;     ///< by rank
  std::vector<std::int64_t> messages_sent;  ///< by rank
};

/// One transport per rank. `counts` (may be null) is valid when all ranks are idle.
std::vector<std::unique_ptr<Transport>> make_queue_transports(int ranks, QueueCounts* counts);

}  // namespace panther::comm::testing
