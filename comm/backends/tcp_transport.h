#pragma once
// Messages over one connected socket per peer. There is no thread behind it: whoever waits for a transfer moves every posted one forward, so a message
// costs no hand-over between threads and goes from the caller's memory to the peer's without a copy in between.
#include <memory>
#include <vector>

#include "comm/backends/transport.h"
#include "comm/rendezvous/socket.h"

namespace panther::comm {

/// `peers` by rank: connected and non-blocking, closed for `rank` itself. On the wire a message is its length (8 bytes in host order) and its data;
/// a length that is not the one expected means that the ranks are out of step, and throws Internal.
std::unique_ptr<Transport> make_tcp_transport(int rank, std::vector<tcp::Socket> peers);

}  // namespace panther::comm
