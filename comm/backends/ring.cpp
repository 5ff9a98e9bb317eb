#include "comm/backends/ring.h"

#include <vector>

#include "comm/backends/reduce.h"

namespace panther::comm {
namespace {

constexpr std::int64_t kSegmentBytes = 512 << 10;
/// Receives that are posted ahead of the one being worked on.
constexpr std::size_t kWindow = 2;

/// One run of steps around the ring of p ranks. In step t rank r sends chunk r - t - 1 and receives chunk r - t - 2 (mod p), so
/// what is received in a step is sent in the next one. Steps 0..p-2 reduce, after which chunk r is finished on rank r; steps
/// p-1..2p-3 gather.
class RingPass {
 public:
  RingPass(Transport& transport, Scratch& scratch, std::byte* data, const Chunks& chunks, DType dtype, ReduceOp op, Deadline deadline)
      : transport_(transport), data_(data), chunks_(chunks), dtype_(dtype), op_(op), deadline_(deadline),
        ranks_(transport.size()), next_((transport.rank() + 1) % ranks_), before_((transport.rank() + ranks_ - 1) % ranks_),
        staging_(scratch.at_least(kWindow * kSegmentBytes)), reducing_send_of_(static_cast<std::size_t>(ranks_), kNone) {}

  void run(int first_step, int last_step) {
    std::vector<Piece> first;
    add_pieces(first, chunk_received_in(first_step - 1), first_step - 1);
    for (int step = first_step; step < last_step; ++step) add_pieces(pieces_, chunk_received_in(step), step);
    receives_.resize(pieces_.size());
    reduced_before_ = reduces(first_step);
    post_receives(0);
    for (const Piece& piece : first) send(piece, first_step);
    for (std::size_t i = 0; i < pieces_.size(); ++i) {
      post_receives(i);
      receives_[i]->wait(deadline_);
      receives_[i].reset();
      const Piece& piece = pieces_[i];
      if (reduces(piece.step)) reduce_into(data_ + piece.begin, slot(i), piece.bytes, dtype_, op_);
      if (piece.step + 1 < last_step) send(piece, piece.step + 1);
    }
    for (const std::unique_ptr<Transfer>& transfer : sends_) {
      if (transfer != nullptr) transfer->wait(deadline_);
    }
  }

 private:
  static constexpr std::size_t kNone = static_cast<std::size_t>(-1);

  struct Piece {
    int step = 0;
    int chunk = 0;
    std::int64_t begin = 0;
    std::int64_t bytes = 0;
    std::size_t segment = 0;
  };

  bool reduces(int step) const { return step < ranks_ - 1; }
  std::byte* slot(std::size_t i) const { return staging_ + static_cast<std::int64_t>(i % kWindow) * kSegmentBytes; }

  /// For the step before the first one: what the first step sends.
  int chunk_received_in(int step) const { return (transport_.rank() - step - 2 + 2 * ranks_) % ranks_; }

  void add_pieces(std::vector<Piece>& pieces, int chunk, int step) const {
    std::size_t segment = 0;
    for (std::int64_t at = 0; at < chunks_.size(chunk); at += kSegmentBytes) {
      pieces.push_back({step, chunk, chunks_.begin(chunk) + at, std::min(kSegmentBytes, chunks_.size(chunk) - at), segment++});
    }
  }

  void send(const Piece& piece, int step) {
    if (reduces(step) && piece.segment == 0) reducing_send_of_[static_cast<std::size_t>(piece.chunk)] = sends_.size();
    sends_.push_back(transport_.send(next_, data_ + piece.begin, static_cast<std::size_t>(piece.bytes)));
  }

  /// Posts receives up to the window. One that writes where an earlier send reads from waits for that send; the rank that is
  /// furthest behind finds its peer's receives posted, so these waits form no circle.
  void post_receives(std::size_t done) {
    while (posted_ < pieces_.size() && posted_ < done + kWindow) {
      const Piece& piece = pieces_[posted_];
      if (reduced_before_ && !reduces(piece.step) && !await_reducing_send(piece)) return;
      void* into = reduces(piece.step) ? slot(posted_) : data_ + piece.begin;
      receives_[posted_] = transport_.receive(before_, into, static_cast<std::size_t>(piece.bytes));
      ++posted_;
    }
  }

  /// False when that send is not posted yet.
  bool await_reducing_send(const Piece& piece) {
    const std::size_t first = reducing_send_of_[static_cast<std::size_t>(piece.chunk)];
    if (first == kNone || first + piece.segment >= sends_.size()) return false;
    std::unique_ptr<Transfer>& transfer = sends_[first + piece.segment];
    if (transfer != nullptr) transfer->wait(deadline_);
    transfer.reset();
    return true;
  }

  Transport& transport_;
  std::byte* data_;
  const Chunks& chunks_;
  DType dtype_;
  ReduceOp op_;
  Deadline deadline_;
  int ranks_;
  int next_;
  int before_;
  std::byte* staging_;
  std::vector<std::size_t> reducing_send_of_;  ///< by chunk: index of its first send of the reducing steps
  std::vector<Piece> pieces_;                  ///< in the order they are received
  std::vector<std::unique_ptr<Transfer>> receives_;
  std::vector<std::unique_ptr<Transfer>> sends_;
  std::size_t posted_ = 0;
  bool reduced_before_ = false;  ///< the gathering steps overwrite what the reducing steps sent
};

}  // namespace

void ring_all_reduce(Transport& transport, Scratch& scratch, std::byte* data, const Chunks& chunks, DType dtype, ReduceOp op,
                     Deadline deadline) {
  RingPass(transport, scratch, data, chunks, dtype, op, deadline).run(0, 2 * (transport.size() - 1));
}

void ring_all_gather(Transport& transport, Scratch& scratch, std::byte* data, const Chunks& chunks, Deadline deadline) {
  const int steps = transport.size() - 1;
  RingPass(transport, scratch, data, chunks, DType::u8, ReduceOp::max, deadline).run(steps, 2 * steps);
}

void ring_broadcast(Transport& transport, std::byte* data, std::int64_t bytes, int root, Deadline deadline) {
  const int ranks = transport.size();
  const int next = (transport.rank() + 1) % ranks;
  const int before = (transport.rank() + ranks - 1) % ranks;
  std::vector<std::unique_ptr<Transfer>> receives;
  std::vector<std::unique_ptr<Transfer>> sends;
  const auto segment = [&](std::int64_t at) { return static_cast<std::size_t>(std::min(kSegmentBytes, bytes - at)); };
  if (transport.rank() != root) {
    for (std::int64_t at = 0; at < bytes; at += kSegmentBytes) receives.push_back(transport.receive(before, data + at, segment(at)));
  }
  for (std::int64_t at = 0; at < bytes; at += kSegmentBytes) {
    if (!receives.empty()) receives[static_cast<std::size_t>(at / kSegmentBytes)]->wait(deadline);
    if (next != root) sends.push_back(transport.send(next, data + at, segment(at)));
  }
  for (const std::unique_ptr<Transfer>& transfer : sends) transfer->wait(deadline);
}

}  // namespace panther::comm
