#pragma once
// Collective operations among the ranks of one group.
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "comm/deadline.h"
#include "comm/export.h"
#include "comm/work.h"
#include "kernels/stream.h"
#include "kernels/view.h"

namespace panther::comm {

enum class ReduceOp : std::uint8_t { sum, min, max };

/// All calls except `abort` come from one communication thread. Buffers are contiguous and stay alive until the work is
/// done; every rank calls the same operations in the same order with the same sizes. bf16 and f16 sums accumulate in f32
/// with one rounding. On the CPU a call returns when it is done; `deadline` bounds it.
/// Throws PeerLost (a peer is gone, or `abort` was called), Timeout, InvalidArgument (device or size the backend cannot take).
/// After PeerLost or Timeout the object is dead: only destruction is allowed.
class PANTHER_COMM_API Collective {
 public:
  virtual ~Collective();

  virtual std::string_view backend() const noexcept = 0;  ///< "self", "threads", "mpi", "gloo", "nccl"
  virtual int rank() const noexcept = 0;
  virtual int size() const noexcept = 0;
  /// Which device's buffers the backend takes without staging.
  virtual DeviceKind device() const noexcept = 0;

  virtual Work all_reduce(const TensorView& buffer, ReduceOp op, Stream stream, Deadline deadline) = 0;
  /// output holds size() times input, in rank order.
  virtual Work all_gather(const TensorView& input, const TensorView& output, Stream stream, Deadline deadline) = 0;
  /// input holds size() times output; rank r receives the reduction of chunk r.
  virtual Work reduce_scatter(const TensorView& input, const TensorView& output, ReduceOp op, Stream stream, Deadline deadline) = 0;
  virtual Work broadcast(const TensorView& buffer, int root, Stream stream, Deadline deadline) = 0;
  /// Chunk s of rank r's input becomes chunk r of rank s's output; equal chunks.
  virtual Work all_to_all(const TensorView& input, const TensorView& output, Stream stream, Deadline deadline) = 0;
  /// Sends to one rank and receives from another at once; either may be -1 (none) and may be this rank.
  virtual Work send_recv(const TensorView& outgoing, int to, const TensorView& incoming, int from, Stream stream, Deadline deadline) = 0;
  virtual void barrier(Deadline deadline) = 0;

  /// All ranks together: the group of the ranks that gave the same color, in the order of their ranks here; null for a negative color. It is used by the thread that uses this
  /// group, and this group outlives it. Aborting this one ends those made from it too. Throws Unsupported where a backend cannot, PeerLost, Timeout.
  virtual std::unique_ptr<Collective> split(int color, Deadline deadline);

  /// From any thread: makes running and later calls throw PeerLost soon. Never blocks.
  virtual void abort() noexcept = 0;

  /// Bytes this rank sends for an all_reduce of `bytes` with the algorithm the backend pins (the ledger's prediction).
  virtual std::int64_t all_reduce_bytes_sent(std::int64_t bytes) const noexcept = 0;
  /// Likewise for a broadcast from `root`; a chain of neighbours unless the backend says otherwise.
  virtual std::int64_t broadcast_bytes_sent(std::int64_t bytes, int root) const noexcept;
};

/// The ranks that gave `color`, from everybody's colors by rank: what a split() makes a group of. Pure.
PANTHER_COMM_API std::vector<int> ranks_of_color(std::span<const std::int64_t> colors, int color);

/// Bytes that `rank` of `ranks` sends for an all_reduce of `bytes` in a ring: what the ledger counts for large messages, and what a plan
/// can tell before there is a collective. Pure.
PANTHER_COMM_API std::int64_t ring_bytes_sent(std::int64_t bytes, int rank, int ranks) noexcept;

}  // namespace panther::comm
