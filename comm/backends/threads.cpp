#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <map>
#include <mutex>

#include "comm/backends/arguments.h"
#include "comm/backends/backends.h"
#include "comm/backends/chunks.h"
#include "comm/backends/reduce.h"
#include "comm/backends/threads_world.h"
#include "comm/gather_integers.h"
#include "core/error.h"

namespace panther::comm {
namespace {

std::byte* bytes_of(const TensorView& view) { return static_cast<std::byte*>(view.data); }

void copy_bytes(std::byte* to, const std::byte* from, std::int64_t bytes) {
  if (bytes > 0 && to != from) std::memcpy(to, from, static_cast<std::size_t>(bytes));
}

/// One rank of a ThreadsWorld. Every rank works on its own chunk of everybody's memory, in rank order.
class ThreadsCollective final : public Collective {
 public:
  ThreadsCollective(std::shared_ptr<ThreadsWorld> world, int rank) : world_(std::move(world)), rank_(rank) {}
  ~ThreadsCollective() override { world_->leave(rank_); }
  ThreadsCollective(const ThreadsCollective&) = delete;
  ThreadsCollective& operator=(const ThreadsCollective&) = delete;

  std::string_view backend() const noexcept override { return "threads"; }
  int rank() const noexcept override { return rank_; }
  int size() const noexcept override { return world_->ranks(); }
  DeviceKind device() const noexcept override { return DeviceKind::cpu; }

  Work all_reduce(const TensorView& buffer, ReduceOp op, Stream, Deadline deadline) override {
    check_buffer(*this, "all_reduce", buffer);
    const Chunks chunks = Chunks::even(buffer.bytes(), size());
    const ThreadsCall call{"all_reduce", bytes_of(buffer), bytes_of(buffer), buffer.bytes(), buffer.dtype, op, 0};
    return together(call, deadline, [&](const std::vector<ThreadsCall>& calls) {
      const std::int64_t begin = chunks.begin(rank_);
      reduce_inputs(calls, begin, call.output + begin, chunks.size(rank_));
      for (const ThreadsCall& other : calls) copy_bytes(other.output + begin, call.output + begin, chunks.size(rank_));
    });
  }

  Work all_gather(const TensorView& input, const TensorView& output, Stream, Deadline deadline) override {
    check_parts(*this, "all_gather", input, output);
    const ThreadsCall call{"all_gather", bytes_of(input), bytes_of(output), input.bytes(), input.dtype, ReduceOp::sum, 0};
    return together(call, deadline, [&](const std::vector<ThreadsCall>& calls) {
      std::byte* place = call.output;
      for (const ThreadsCall& other : calls) {
        copy_bytes(place, other.input, call.bytes);
        place += call.bytes;
      }
    });
  }

  Work reduce_scatter(const TensorView& input, const TensorView& output, ReduceOp op, Stream, Deadline deadline) override {
    check_parts(*this, "reduce_scatter", output, input);
    const ThreadsCall call{"reduce_scatter", bytes_of(input), bytes_of(output), output.bytes(), output.dtype, op, 0};
    return together(call, deadline,
                    [&](const std::vector<ThreadsCall>& calls) { reduce_inputs(calls, rank_ * call.bytes, call.output, call.bytes); });
  }

  Work broadcast(const TensorView& buffer, int root, Stream, Deadline deadline) override {
    check_buffer(*this, "broadcast", buffer);
    check_root(*this, "broadcast", root);
    const ThreadsCall call{"broadcast", bytes_of(buffer), bytes_of(buffer), buffer.bytes(), buffer.dtype, ReduceOp::sum, root};
    return together(call, deadline, [&](const std::vector<ThreadsCall>& calls) {
      copy_bytes(call.output, calls[static_cast<std::size_t>(root)].input, call.bytes);
    });
  }

  Work all_to_all(const TensorView& input, const TensorView& output, Stream, Deadline deadline) override {
    check_all_to_all(*this, input, output);
    const ThreadsCall call{"all_to_all", bytes_of(input), bytes_of(output), input.bytes() / size(), input.dtype, ReduceOp::sum, 0};
    return together(call, deadline, [&](const std::vector<ThreadsCall>& calls) {
      std::byte* place = call.output;
      for (const ThreadsCall& other : calls) {
        copy_bytes(place, other.input + rank_ * call.bytes, call.bytes);
        place += call.bytes;
      }
    });
  }

  Work send_recv(const TensorView& outgoing, int to, const TensorView& incoming, int from, Stream, Deadline deadline) override {
    check_send_recv(*this, outgoing, to, incoming, from);
    if (to == rank_) {
      copy_bytes(bytes_of(incoming), bytes_of(outgoing), outgoing.bytes());
    } else {
      world_->exchange(rank_, to, outgoing.data, outgoing.bytes(), from, incoming.data, incoming.bytes(), deadline);
    }
    return {};
  }

  void barrier(Deadline deadline) override {
    together({"barrier"}, deadline, [](const std::vector<ThreadsCall>&) {});
  }

  std::unique_ptr<Collective> split(int color, Deadline deadline) override {
    const std::int64_t own[] = {color};
    const std::vector<int> ranks = ranks_of_color(gather_integers(*this, own, {}, deadline), color);
    const int number = splits_++;  // a group that is gone does not come back
    if (ranks.empty()) return nullptr;
    return std::make_unique<ThreadsCollective>(world_->part(number, ranks), static_cast<int>(std::find(ranks.begin(), ranks.end(), rank_) - ranks.begin()));
  }

  void abort() noexcept override { world_->break_up(concat("rank ", rank_, " aborted")); }

  /// What a ring would send: nothing travels here, but the ledger's figures stay comparable.
  std::int64_t all_reduce_bytes_sent(std::int64_t bytes) const noexcept override {
    return ring_bytes_sent(bytes, rank_, size());
  }

 private:
  template <class Body>
  Work together(const ThreadsCall& call, Deadline deadline, const Body& body) {
    const std::vector<ThreadsCall>& calls = world_->meet(rank_, call, deadline);
    body(calls);
    world_->finish();
    return {};
  }

  static void reduce_inputs(const std::vector<ThreadsCall>& calls, std::int64_t begin, std::byte* into, std::int64_t bytes) {
    std::vector<const void*> sources;
    for (const ThreadsCall& call : calls) sources.push_back(call.input + begin);
    reduce_ordered(sources, into, bytes, calls.front().dtype, calls.front().op);
  }

  std::shared_ptr<ThreadsWorld> world_;
  int rank_;
  int splits_ = 0;
};

/// Worlds that not all ranks have joined yet, by the name their rank 0 published.
class OpenWorlds {
 public:
  std::string publish(const std::shared_ptr<ThreadsWorld>& world) {
    const std::lock_guard lock(mutex_);
    const std::string name = concat("process ", ::getpid(), " world ", next_++);
    worlds_[name] = {world, world->ranks() - 1};
    return name;
  }

  std::shared_ptr<ThreadsWorld> join(const std::string& name) {
    const std::lock_guard lock(mutex_);
    const auto found = worlds_.find(name);
    if (found == worlds_.end()) {
      fail(ErrorCode::Unsupported, "comm.backend = threads joins threads of one process; rank 0 is in another one (", name,
           "); use tcp or mpi between processes");
    }
    std::shared_ptr<ThreadsWorld> world = found->second.world;
    if (--found->second.missing == 0) worlds_.erase(found);
    return world;
  }

  static OpenWorlds& of_this_process() {
    static OpenWorlds worlds;
    return worlds;
  }

 private:
  struct Entry {
    std::shared_ptr<ThreadsWorld> world;
    int missing = 0;
  };
  std::mutex mutex_;
  std::map<std::string, Entry> worlds_;
  std::uint64_t next_ = 0;
};

}  // namespace

std::vector<std::unique_ptr<Collective>> make_threads(int ranks) {
  PANTHER_REQUIRE(ranks >= 1, "a group needs at least one rank, got ", ranks);
  const auto world = std::make_shared<ThreadsWorld>(ranks);
  std::vector<std::unique_ptr<Collective>> result;
  for (int rank = 0; rank < ranks; ++rank) result.push_back(std::make_unique<ThreadsCollective>(world, rank));
  return result;
}

std::unique_ptr<Collective> join_threads(const GroupOptions& options) {
  constexpr const char* kKey = "threads/world";
  if (options.size == 1) return std::move(make_threads(1).front());
  PANTHER_REQUIRE(options.store != nullptr, "comm.backend = threads with ", options.size, " ranks needs a store to meet in");
  if (options.rank == 0) {
    auto world = std::make_shared<ThreadsWorld>(options.size);
    options.store->set(kKey, OpenWorlds::of_this_process().publish(world));
    return std::make_unique<ThreadsCollective>(std::move(world), 0);
  }
  const std::string name = options.store->wait(kKey, Deadline::after(options.timeout));
  return std::make_unique<ThreadsCollective>(OpenWorlds::of_this_process().join(name), options.rank);
}

}  // namespace panther::comm
