#include "comm/backends/message_collective.h"

#include <algorithm>
#include <cstring>

#include "comm/backends/arguments.h"
#include "comm/backends/chunks.h"
#include "comm/backends/direct.h"
#include "comm/backends/reduce.h"
#include "comm/backends/ring.h"
#include "comm/gather_integers.h"
#include "core/error.h"

namespace panther::comm {
namespace {

/// Below this many bytes sent, a message costs its latency.
constexpr std::int64_t kSmallBytes = 64 << 10;
constexpr int kFewRanks = 16;

std::byte* bytes_of(const TensorView& view) { return static_cast<std::byte*>(view.data); }

/// Some ranks of a transport, whose messages are the transport's.
class PartTransport final : public Transport {
 public:
  PartTransport(std::shared_ptr<Transport> whole, std::vector<int> ranks)
      : whole_(std::move(whole)), ranks_(std::move(ranks)), rank_(static_cast<int>(std::find(ranks_.begin(), ranks_.end(), whole_->rank()) - ranks_.begin())) {}

  std::string_view name() const noexcept override { return whole_->name(); }
  int rank() const noexcept override { return rank_; }
  int size() const noexcept override { return static_cast<int>(ranks_.size()); }
  std::unique_ptr<Transfer> send(int to, const void* data, std::size_t bytes) override { return whole_->send(ranks_[static_cast<std::size_t>(to)], data, bytes); }
  std::unique_ptr<Transfer> receive(int from, void* data, std::size_t bytes) override { return whole_->receive(ranks_[static_cast<std::size_t>(from)], data, bytes); }
  void abort() noexcept override { whole_->abort(); }
  bool close() noexcept override { return whole_->close(); }

 private:
  std::shared_ptr<Transport> whole_;
  std::vector<int> ranks_;
  int rank_;
};

class MessageCollective final : public Collective {
 public:
  explicit MessageCollective(std::shared_ptr<Transport> transport) : transport_(std::move(transport)) {}

  std::string_view backend() const noexcept override { return transport_->name(); }
  int rank() const noexcept override { return transport_->rank(); }
  int size() const noexcept override { return transport_->size(); }
  DeviceKind device() const noexcept override { return DeviceKind::cpu; }

  Work all_reduce(const TensorView& buffer, ReduceOp op, Stream, Deadline deadline) override {
    check_buffer(*this, "all_reduce", buffer);
    return guarded([&] { run_all_reduce(bytes_of(buffer), buffer.bytes(), buffer.dtype, op, deadline); });
  }

  Work all_gather(const TensorView& input, const TensorView& output, Stream, Deadline deadline) override {
    check_parts(*this, "all_gather", input, output);
    const Chunks chunks = Chunks::equal(input.bytes(), size());
    return guarded([&] {
      std::byte* mine = bytes_of(output) + chunks.begin(rank());
      if (input.bytes() > 0 && mine != input.data) std::memmove(mine, input.data, static_cast<std::size_t>(input.bytes()));
      if (size() == 1) return;
      if (output.bytes() <= kSmallBytes) {
        direct_all_gather(*transport_, bytes_of(output), chunks, deadline);
      } else {
        ring_all_gather(*transport_, scratch_, bytes_of(output), chunks, deadline);
      }
    });
  }

  Work reduce_scatter(const TensorView& input, const TensorView& output, ReduceOp op, Stream, Deadline deadline) override {
    check_parts(*this, "reduce_scatter", output, input);
    const Chunks chunks = Chunks::equal(output.bytes(), size());
    return guarded([&] {
      direct_reduce_scatter(*transport_, scratch_, bytes_of(input), bytes_of(output), chunks, input.dtype, op, deadline);
    });
  }

  Work broadcast(const TensorView& buffer, int root, Stream, Deadline deadline) override {
    check_buffer(*this, "broadcast", buffer);
    check_root(*this, "broadcast", root);
    return guarded([&] {
      if (size() == 1) return;
      if (goes_down_a_tree(buffer.bytes())) {
        tree_broadcast(*transport_, bytes_of(buffer), buffer.bytes(), root, deadline);
      } else {
        ring_broadcast(*transport_, bytes_of(buffer), buffer.bytes(), root, deadline);
      }
    });
  }

  Work all_to_all(const TensorView& input, const TensorView& output, Stream, Deadline deadline) override {
    check_all_to_all(*this, input, output);
    const Chunks chunks = Chunks::equal(input.bytes() / size(), size());
    return guarded([&] { direct_all_to_all(*transport_, bytes_of(input), bytes_of(output), chunks, deadline); });
  }

  Work send_recv(const TensorView& outgoing, int to, const TensorView& incoming, int from, Stream, Deadline deadline) override {
    check_send_recv(*this, outgoing, to, incoming, from);
    return guarded([&] {
      if (to == rank()) {
        std::memmove(incoming.data, outgoing.data, static_cast<std::size_t>(outgoing.bytes()));
        return;
      }
      std::unique_ptr<Transfer> receive;
      std::unique_ptr<Transfer> send;
      if (from >= 0 && incoming.bytes() > 0) receive = transport_->receive(from, incoming.data, static_cast<std::size_t>(incoming.bytes()));
      if (to >= 0 && outgoing.bytes() > 0) send = transport_->send(to, outgoing.data, static_cast<std::size_t>(outgoing.bytes()));
      if (receive != nullptr) receive->wait(deadline);
      if (send != nullptr) send->wait(deadline);
    });
  }

  void barrier(Deadline deadline) override {
    guarded([&] { dissemination_barrier(*transport_, deadline); });
  }

  std::unique_ptr<Collective> split(int color, Deadline deadline) override {
    const std::int64_t own[] = {color};
    std::vector<int> ranks = ranks_of_color(gather_integers(*this, own, {}, deadline), color);
    if (ranks.empty()) return nullptr;
    return std::make_unique<MessageCollective>(std::make_unique<PartTransport>(transport_, std::move(ranks)));
  }

  void abort() noexcept override { transport_->abort(); }

  std::int64_t all_reduce_bytes_sent(std::int64_t bytes) const noexcept override {
    const Chunks chunks = Chunks::even(bytes, size());
    switch (choose_all_reduce(bytes, size())) {
      case AllReduceAlgorithm::nothing: return 0;
      case AllReduceAlgorithm::whole: return bytes * (size() - 1);
      case AllReduceAlgorithm::by_owners: return bytes - chunks.size(rank()) + (size() - 1) * chunks.size(rank());
      case AllReduceAlgorithm::ring: return ring_bytes_sent(bytes, rank(), size());
    }
    return 0;
  }
  std::int64_t broadcast_bytes_sent(std::int64_t bytes, int root) const noexcept override {
    return goes_down_a_tree(bytes) ? tree_children(rank(), root, size()) * bytes : Collective::broadcast_bytes_sent(bytes, root);
  }

 private:
  bool goes_down_a_tree(std::int64_t bytes) const noexcept { return bytes <= kSmallBytes || size() == 2; }

  void run_all_reduce(std::byte* data, std::int64_t bytes, DType dtype, ReduceOp op, Deadline deadline) {
    const Chunks chunks = Chunks::even(bytes, size());
    std::byte* mine = data + chunks.begin(rank());
    switch (choose_all_reduce(bytes, size())) {
      case AllReduceAlgorithm::nothing:
        return;
      case AllReduceAlgorithm::whole:
        return direct_all_reduce(*transport_, scratch_, data, bytes, dtype, op, deadline);
      case AllReduceAlgorithm::by_owners:
        direct_reduce_scatter(*transport_, scratch_, data, mine, chunks, dtype, op, deadline);
        return direct_all_gather(*transport_, data, chunks, deadline);
      case AllReduceAlgorithm::ring:
        if (!needs_wide_sum(dtype, op)) return ring_all_reduce(*transport_, scratch_, data, chunks, dtype, op, deadline);
        direct_reduce_scatter(*transport_, scratch_, data, mine, chunks, dtype, op, deadline);
        return ring_all_gather(*transport_, scratch_, data, chunks, deadline);
    }
  }

  /// After a failure in `body` the object is dead, and the peers are told where the transport can.
  template <class Body>
  Work guarded(const Body& body) {
    if (dead_) {
      fail(ErrorCode::PeerLost, "this ", backend(), " group (rank ", rank(), " of ", size(), ") failed before; make a new one");
    }
    try {
      body();
    } catch (...) {
      dead_ = true;
      if (!transport_->close()) scratch_.abandon();
      throw;
    }
    return {};
  }

  std::shared_ptr<Transport> transport_;
  Scratch scratch_;
  bool dead_ = false;
};

}  // namespace

AllReduceAlgorithm choose_all_reduce(std::int64_t bytes, int ranks) noexcept {
  if (ranks == 1) return AllReduceAlgorithm::nothing;
  if (ranks == 2) return AllReduceAlgorithm::whole;  // the bytes of a ring in half of its steps
  if (ranks <= kFewRanks && bytes * (ranks - 1) <= kSmallBytes) return AllReduceAlgorithm::whole;
  if (bytes <= kSmallBytes) return AllReduceAlgorithm::by_owners;
  return AllReduceAlgorithm::ring;
}

std::unique_ptr<Collective> make_message_collective(std::unique_ptr<Transport> transport) {
  return std::make_unique<MessageCollective>(std::move(transport));
}

}  // namespace panther::comm
