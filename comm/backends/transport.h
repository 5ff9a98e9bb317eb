#pragma once
// Messages between two ranks: what sockets, gloo and MPI provide, and what MessageCollective builds all collectives from.
#include <cstddef>
#include <memory>
#include <string_view>

#include "comm/deadline.h"

namespace panther::comm {

/// One message on its way. Destroying an unfinished one gives it up, and with it the transport.
class Transfer {
 public:
  virtual ~Transfer() = default;
  /// Sends: the data may change. Receives: the data has arrived. Throws PeerLost, Timeout.
  virtual void wait(Deadline deadline) = 0;
};

/// One thread calls all but `abort`. Messages between two ranks arrive in the order they were posted, receives match in
/// the order they were posted, and sizes on both sides are equal. Never called with this rank as its own peer or 0 bytes.
class Transport {
 public:
  virtual ~Transport() = default;
  virtual std::string_view name() const noexcept = 0;
  virtual int rank() const noexcept = 0;
  virtual int size() const noexcept = 0;
  /// The data stays as it is until the transfer is waited for.
  virtual std::unique_ptr<Transfer> send(int to, const void* data, std::size_t bytes) = 0;
  virtual std::unique_ptr<Transfer> receive(int from, void* data, std::size_t bytes) = 0;
  /// From any thread: running and later waits throw PeerLost soon.
  virtual void abort() noexcept = 0;
  /// After a failure, when no transfer exists any more: lets the peers see it where the transport can. False when a message
  /// may still be written to memory it was posted for.
  virtual bool close() noexcept = 0;
};

}  // namespace panther::comm
