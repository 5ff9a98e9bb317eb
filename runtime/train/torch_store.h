#pragma once
// torchrun's rendezvous: its agent serves a c10d TCPStore on MASTER_PORT; this makes it one of our stores.
#include <memory>
#include <string>

#include "comm/rendezvous/store.h"
#include "runtime/export.h"

namespace panther::runtime {

/// Client of the store at host:port; with `serve` also its server (plain MASTER_ADDR/MASTER_PORT environments, rank 0).
/// Throws Timeout when nobody answers, Io when the port is taken.
PANTHER_RUNTIME_API std::shared_ptr<comm::Store> open_torch_store(const std::string& host, int port, int world_size, bool serve,
                                                                  comm::Deadline deadline);

}  // namespace panther::runtime
