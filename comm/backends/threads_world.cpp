#include "comm/backends/threads_world.h"

#include <algorithm>
#include <cstring>

#include "core/error.h"

namespace panther::comm {

ThreadsWorld::ThreadsWorld(int ranks)
    : ranks_(ranks), calls_(static_cast<std::size_t>(ranks)), gone_(static_cast<std::size_t>(ranks), 0),
      offers_(static_cast<std::size_t>(ranks) * static_cast<std::size_t>(ranks)) {}

void ThreadsWorld::check_whole(const Lock&, int rank, int needed) const {
  if (!broken_ && !is_gone(needed)) return;
  const ErrorCode code = calls_differ_ ? ErrorCode::InvalidArgument : ErrorCode::PeerLost;
  fail(code, "threads group (rank ", rank, " of ", ranks_, "): ", broken_ ? reason_ : needed == kAnybody ? "a rank is gone" : concat("rank ", needed, " is gone"));
}

template <class Condition>
void ThreadsWorld::wait(Lock& lock, int rank, int needed, Deadline deadline, const Condition& condition) {
  const auto over = [&] { return condition() || broken_ || is_gone(needed); };
  if (deadline.when == Deadline::never().when) {
    changed_.wait(lock, over);
  } else if (!changed_.wait_until(lock, deadline.when, over)) {
    broken_ = true;
    reason_ = concat("rank ", rank, " gave up at its deadline");
    changed_.notify_all();
    fail(ErrorCode::Timeout, "threads group (rank ", rank, " of ", ranks_, "): the other ranks did not come before the deadline");
  }
  if (!condition()) check_whole(lock, rank, needed);
}

const std::vector<ThreadsCall>& ThreadsWorld::meet(int rank, const ThreadsCall& call, Deadline deadline) {
  Lock lock(mutex_);
  check_whole(lock, rank, kAnybody);
  calls_[static_cast<std::size_t>(rank)] = call;
  if (++arrived_ < ranks_) {
    const std::uint64_t before = meetings_;
    wait(lock, rank, kAnybody, deadline, [&] { return meetings_ != before; });
    return calls_;
  }
  for (int r = 0; r < ranks_; ++r) {
    const ThreadsCall& other = calls_[static_cast<std::size_t>(r)];
    if (other.matches(call)) continue;
    broken_ = calls_differ_ = true;
    reason_ = concat("rank ", rank, " called ", call.operation, " (", call.bytes, " bytes of ", dtype_name(call.dtype), "), rank ", r, " called ",
                     other.operation, " (", other.bytes, " bytes of ", dtype_name(other.dtype), "); all ranks must call the same");
    changed_.notify_all();
    check_whole(lock, rank, kAnybody);
  }
  arrived_ = 0;
  ++meetings_;
  changed_.notify_all();
  return calls_;
}

void ThreadsWorld::finish() {
  Lock lock(mutex_);
  if (++finished_ == ranks_) {
    finished_ = 0;
    ++endings_;
    changed_.notify_all();
    return;
  }
  const std::uint64_t before = endings_;
  changed_.wait(lock, [&] { return endings_ != before; });
}

void ThreadsWorld::take(Lock& lock, int rank, Offer& offer, void* incoming, std::int64_t bytes, int from, Deadline deadline) {
  wait(lock, rank, from, deadline, [&] { return offer.state == Offer::State::waiting; });
  if (offer.bytes != bytes) {
    broken_ = calls_differ_ = true;
    reason_ = concat("rank ", from, " sends ", offer.bytes, " bytes to rank ", rank, ", which expects ", bytes);
    changed_.notify_all();
    check_whole(lock, rank, kAnybody);
  }
  offer.state = Offer::State::taken;
  lock.unlock();
  if (bytes > 0) std::memcpy(incoming, offer.data, static_cast<std::size_t>(bytes));
  lock.lock();
  offer.state = Offer::State::done;
  changed_.notify_all();
}

void ThreadsWorld::exchange(int rank, int to, const void* outgoing, std::int64_t outgoing_bytes, int from, void* incoming,
                            std::int64_t incoming_bytes, Deadline deadline) {
  Lock lock(mutex_);
  for (const int peer : {to, from}) check_whole(lock, rank, peer < 0 ? rank : peer);
  Offer none;
  Offer& mine = to < 0 ? none : offers_[static_cast<std::size_t>(rank * ranks_ + to)];
  if (to >= 0) {
    mine = {Offer::State::waiting, outgoing, outgoing_bytes};
    changed_.notify_all();
  }
  try {
    if (from >= 0) take(lock, rank, offers_[static_cast<std::size_t>(from * ranks_ + rank)], incoming, incoming_bytes, from, deadline);
    if (to >= 0) wait(lock, rank, to, deadline, [&] { return mine.state == Offer::State::done; });
  } catch (...) {
    // The data must not go away while the other rank copies it.
    changed_.wait(lock, [&] { return mine.state != Offer::State::taken; });
    mine.state = Offer::State::none;
    throw;
  }
  mine.state = Offer::State::none;
}

std::shared_ptr<ThreadsWorld> ThreadsWorld::part(int number, const std::vector<int>& ranks) {
  const std::lock_guard lock(mutex_);
  std::shared_ptr<ThreadsWorld>& world = parts_[{number, ranks}];
  if (world != nullptr) return world;
  world = std::make_shared<ThreadsWorld>(static_cast<int>(ranks.size()));
  if (broken_) world->break_up(reason_);  // by a rank of another part, before this one's came for theirs
  return world;
}

void ThreadsWorld::break_up(const std::string& reason) noexcept {
  {
    const std::lock_guard lock(mutex_);
    if (!broken_) reason_ = reason;
    broken_ = true;
    for (const auto& [key, world] : parts_) world->break_up(reason);
  }
  changed_.notify_all();
}

void ThreadsWorld::leave(int rank) noexcept {
  {
    const std::lock_guard lock(mutex_);
    gone_[static_cast<std::size_t>(rank)] = 1;
    anybody_gone_ = true;
    for (const auto& [key, world] : parts_) {
      const std::vector<int>& ranks = key.second;
      const auto place = std::find(ranks.begin(), ranks.end(), rank);
      if (place != ranks.end()) world->leave(static_cast<int>(place - ranks.begin()));
    }
  }
  changed_.notify_all();
}

}  // namespace panther::comm
