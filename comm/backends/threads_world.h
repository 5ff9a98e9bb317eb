#pragma once
// Where the ranks of one process meet: what each is about to do, and the messages between two of them.
#include <condition_variable>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "comm/collective.h"

namespace panther::comm {

/// What one rank brings to a collective.
struct ThreadsCall {
  std::string_view operation;
  std::byte* input = nullptr;
  std::byte* output = nullptr;
  std::int64_t bytes = 0;  ///< equal on all ranks, as are dtype, op and root
  DType dtype = DType::u8;
  ReduceOp op = ReduceOp::sum;
  int root = 0;
  bool matches(const ThreadsCall& other) const noexcept {
    return operation == other.operation && bytes == other.bytes && dtype == other.dtype && op == other.op && root == other.root;
  }
};

/// Any thread. Once broken (abort, a deadline, calls that differ) it stays broken; once a rank left, only messages between
/// others still work.
class ThreadsWorld {
 public:
  explicit ThreadsWorld(int ranks);
  int ranks() const noexcept { return ranks_; }

  /// Returns when all ranks brought a call; all calls can then be read until `finish`. Throws PeerLost, Timeout, and
  /// InvalidArgument when the calls differ.
  const std::vector<ThreadsCall>& meet(int rank, const ThreadsCall& call, Deadline deadline);
  /// Returns when all ranks that met are finished. They are at work, not waiting, so this needs no deadline.
  void finish();

  /// Offers `outgoing` to rank `to` and takes what rank `from` offers, either may be -1; returns when both are copied.
  void exchange(int rank, int to, const void* outgoing, std::int64_t outgoing_bytes, int from, void* incoming,
                std::int64_t incoming_bytes, Deadline deadline);

  /// The world of some of these ranks, the same for all of them that ask with the same number; it breaks when this one does, or when a rank
  /// leaves this one.
  std::shared_ptr<ThreadsWorld> part(int number, const std::vector<int>& ranks);

  void break_up(const std::string& reason) noexcept;
  void leave(int rank) noexcept;

 private:
  struct Offer {
    enum class State { none, waiting, taken, done };
    State state = State::none;
    const void* data = nullptr;
    std::int64_t bytes = 0;
  };
  using Lock = std::unique_lock<std::mutex>;

  static constexpr int kAnybody = -1;

  /// Throws when the world is broken or rank `needed` (or anybody) left.
  void check_whole(const Lock& lock, int rank, int needed) const;
  bool is_gone(int needed) const { return needed == kAnybody ? anybody_gone_ : static_cast<bool>(gone_[static_cast<std::size_t>(needed)]); }
  template <class Condition>
  void wait(Lock& lock, int rank, int needed, Deadline deadline, const Condition& condition);
  void take(Lock& lock, int rank, Offer& offer, void* incoming, std::int64_t bytes, int from, Deadline deadline);

  const int ranks_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<ThreadsCall> calls_;
  int arrived_ = 0;
  int finished_ = 0;
  std::uint64_t meetings_ = 0;
  std::uint64_t endings_ = 0;
  bool broken_ = false;
  bool calls_differ_ = false;
  std::string reason_;
  std::vector<char> gone_;
  bool anybody_gone_ = false;
  std::vector<Offer> offers_;  ///< [from * ranks + to]
  std::map<std::pair<int, std::vector<int>>, std::shared_ptr<ThreadsWorld>> parts_;
};

}  // namespace panther::comm
