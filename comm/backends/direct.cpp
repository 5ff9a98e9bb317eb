#include "comm/backends/direct.h"

#include <cstring>
#include <vector>

#include "comm/backends/reduce.h"

namespace panther::comm {
namespace {

using Transfers = std::vector<std::unique_ptr<Transfer>>;

void wait_all(Transfers& transfers, Deadline deadline) {
  for (const std::unique_ptr<Transfer>& transfer : transfers) transfer->wait(deadline);
  transfers.clear();
}

/// Of a binomial tree from place 0: a place receives at its lowest set bit, then serves the bits below it; the root serves all.
int receiving_bit(int place, int ranks) {
  int bit = 1;
  while (bit < ranks && (place & bit) == 0) bit <<= 1;
  return bit;
}

/// The k-th peer to send to and to receive from: in each round k every rank sends one message and receives one.
int peer_to(const Transport& transport, int k) { return (transport.rank() + k) % transport.size(); }
int peer_from(const Transport& transport, int k) { return (transport.rank() + transport.size() - k) % transport.size(); }

/// The owner of a chunk receives it block by block; two blocks of staging, so that one travels while the other is summed.
constexpr std::int64_t kStagingBytes = 2 << 20;

std::int64_t block_bytes(int ranks) {
  const std::int64_t block = kStagingBytes / (2 * std::max(1, ranks - 1)) / 64 * 64;
  return std::max<std::int64_t>(block, 16 << 10);
}

class ReduceScatter {
 public:
  ReduceScatter(Transport& transport, Scratch& scratch, const std::byte* input, std::byte* output, const Chunks& chunks, Deadline deadline)
      : transport_(transport), input_(input), output_(output), chunks_(chunks), deadline_(deadline), ranks_(transport.size()),
        block_(block_bytes(ranks_)), staging_(scratch.at_least(static_cast<std::size_t>(2 * block_ * std::max(1, ranks_ - 1)))) {}

  void run(DType dtype, ReduceOp op) {
    std::int64_t largest = 0;
    for (int i = 0; i < ranks_; ++i) largest = std::max(largest, chunks_.size(i));
    const std::int64_t blocks = (largest + block_ - 1) / block_;
    if (blocks > 0) receive(0);
    for (std::int64_t b = 0; b < blocks; ++b) {
      send(b);
      if (b + 1 < blocks) receive(b + 1);
      wait_all(receives_[b % 2], deadline_);
      reduce(b, dtype, op);
    }
    wait_all(sends_, deadline_);
  }

 private:
  std::int64_t size(int chunk, std::int64_t block) const {
    return std::clamp<std::int64_t>(chunks_.size(chunk) - block * block_, 0, block_);
  }
  std::byte* staged(int from, std::int64_t block) const {
    const int place = from < transport_.rank() ? from : from - 1;
    return staging_ + ((block % 2) * (ranks_ - 1) + place) * block_;
  }
  void receive(std::int64_t block) {
    const std::int64_t bytes = size(transport_.rank(), block);
    for (int k = 1; k < ranks_ && bytes > 0; ++k) {
      const int from = peer_from(transport_, k);
      receives_[block % 2].push_back(transport_.receive(from, staged(from, block), static_cast<std::size_t>(bytes)));
    }
  }
  void send(std::int64_t block) {
    for (int k = 1; k < ranks_; ++k) {
      const int to = peer_to(transport_, k);
      const std::int64_t bytes = size(to, block);
      const std::byte* data = input_ + chunks_.begin(to) + block * block_;
      if (bytes > 0) sends_.push_back(transport_.send(to, data, static_cast<std::size_t>(bytes)));
    }
  }
  void reduce(std::int64_t block, DType dtype, ReduceOp op) {
    const int rank = transport_.rank();
    std::vector<const void*> sources;
    for (int from = 0; from < ranks_; ++from) {
      sources.push_back(from == rank ? input_ + chunks_.begin(rank) + block * block_ : staged(from, block));
    }
    reduce_ordered(sources, output_ + block * block_, size(rank, block), dtype, op);
  }

  Transport& transport_;
  const std::byte* input_;
  std::byte* output_;
  const Chunks& chunks_;
  Deadline deadline_;
  int ranks_;
  std::int64_t block_;
  std::byte* staging_;
  Transfers receives_[2];
  Transfers sends_;
};

}  // namespace

void direct_all_reduce(Transport& transport, Scratch& scratch, std::byte* data, std::int64_t bytes, DType dtype, ReduceOp op,
                       Deadline deadline) {
  if (bytes == 0) return;
  const int ranks = transport.size();
  const int rank = transport.rank();
  const auto size = static_cast<std::size_t>(bytes);
  std::byte* staging = scratch.at_least(size * static_cast<std::size_t>(ranks - 1));
  std::vector<const void*> sources(static_cast<std::size_t>(ranks));
  sources[static_cast<std::size_t>(rank)] = data;
  Transfers receives;
  Transfers sends;
  for (int k = 1; k < ranks; ++k) {
    std::byte* place = staging + size * static_cast<std::size_t>(k - 1);
    sources[static_cast<std::size_t>(peer_from(transport, k))] = place;
    receives.push_back(transport.receive(peer_from(transport, k), place, size));
  }
  for (int k = 1; k < ranks; ++k) sends.push_back(transport.send(peer_to(transport, k), data, size));
  wait_all(receives, deadline);
  wait_all(sends, deadline);
  reduce_ordered(sources, data, bytes, dtype, op);
}

void direct_reduce_scatter(Transport& transport, Scratch& scratch, const std::byte* input, std::byte* output, const Chunks& chunks,
                           DType dtype, ReduceOp op, Deadline deadline) {
  ReduceScatter(transport, scratch, input, output, chunks, deadline).run(dtype, op);
}

void direct_all_gather(Transport& transport, std::byte* data, const Chunks& chunks, Deadline deadline) {
  const int ranks = transport.size();
  const int rank = transport.rank();
  Transfers transfers;
  for (int k = 1; k < ranks; ++k) {
    const int from = peer_from(transport, k);
    if (chunks.size(from) == 0) continue;
    transfers.push_back(transport.receive(from, data + chunks.begin(from), static_cast<std::size_t>(chunks.size(from))));
  }
  for (int k = 1; k < ranks && chunks.size(rank) > 0; ++k) {
    transfers.push_back(transport.send(peer_to(transport, k), data + chunks.begin(rank), static_cast<std::size_t>(chunks.size(rank))));
  }
  wait_all(transfers, deadline);
}

void direct_all_to_all(Transport& transport, const std::byte* input, std::byte* output, const Chunks& chunks, Deadline deadline) {
  const int rank = transport.rank();
  const auto size = static_cast<std::size_t>(chunks.size(0));
  if (size == 0) return;
  Transfers transfers;
  for (int k = 1; k < transport.size(); ++k) {
    const int from = peer_from(transport, k);
    transfers.push_back(transport.receive(from, output + chunks.begin(from), size));
  }
  for (int k = 1; k < transport.size(); ++k) {
    const int to = peer_to(transport, k);
    transfers.push_back(transport.send(to, input + chunks.begin(to), size));
  }
  std::memcpy(output + chunks.begin(rank), input + chunks.begin(rank), size);
  wait_all(transfers, deadline);
}

int tree_children(int rank, int root, int ranks) noexcept {
  const int place = (rank - root + ranks) % ranks;
  int children = 0;
  for (int bit = receiving_bit(place, ranks) >> 1; bit > 0; bit >>= 1) children += place + bit < ranks ? 1 : 0;
  return children;
}

void tree_broadcast(Transport& transport, std::byte* data, std::int64_t bytes, int root, Deadline deadline) {
  if (bytes == 0) return;
  const int ranks = transport.size();
  const int place = (transport.rank() - root + ranks) % ranks;
  const auto size = static_cast<std::size_t>(bytes);
  int bit = receiving_bit(place, ranks);
  if (place != 0) transport.receive((place - bit + root) % ranks, data, size)->wait(deadline);
  Transfers sends;
  for (bit >>= 1; bit > 0; bit >>= 1) {
    if (place + bit < ranks) sends.push_back(transport.send((place + bit + root) % ranks, data, size));
  }
  wait_all(sends, deadline);
}

void dissemination_barrier(Transport& transport, Deadline deadline) {
  // Static: an abandoned message may still be written after a failure.
  static std::byte token{1};
  static std::byte sink[64];
  int round = 0;
  for (int distance = 1; distance < transport.size(); distance *= 2) {
    Transfers transfers;
    transfers.push_back(transport.receive(peer_from(transport, distance), &sink[round++], 1));
    transfers.push_back(transport.send(peer_to(transport, distance), &token, 1));
    wait_all(transfers, deadline);
  }
}

}  // namespace panther::comm
