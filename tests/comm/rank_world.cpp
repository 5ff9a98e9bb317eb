#include "tests/comm/rank_world.h"

#include <exception>
#include <mutex>
#include <thread>

#include "comm/backends/message_collective.h"
#include "comm/group.h"
#include "tests/comm/queue_transport.h"

namespace panther::comm::testing {
namespace {

using Make = std::function<std::unique_ptr<Collective>(int rank)>;

class ThreadedWorld final : public RankWorld {
 public:
  ThreadedWorld(int ranks, Make make) : ranks_(ranks), make_(std::move(make)) {}
  int ranks() const override { return ranks_; }

  void run(const std::function<void(Collective&, const std::function<void()>&)>& body) override {
    std::mutex mutex;
    std::exception_ptr first;
    std::vector<std::thread> threads;
    for (int rank = 0; rank < ranks_; ++rank) {
      threads.emplace_back([&, rank] {
        std::unique_ptr<Collective> group;
        try {
          group = make_(rank);
          body(*group, [&group] { group.reset(); });
        } catch (...) {
          const std::lock_guard lock(mutex);
          if (first == nullptr) first = std::current_exception();
        }
        group.reset();
      });
    }
    for (std::thread& thread : threads) thread.join();
    if (first != nullptr) std::rethrow_exception(first);
  }

 private:
  int ranks_;
  Make make_;
};

/// Through make_collective and a store, as programs do.
Make from_options(const std::string& backend, int ranks) {
  return [backend, ranks, store = make_memory_store()](int rank) {
    GroupOptions options;
    options.backend = backend;
    options.rank = options.local_rank = rank;
    options.size = options.local_size = ranks;
    options.store = store;
    options.timeout = std::chrono::seconds(30);
    return make_collective(options);
  };
}

}  // namespace

std::unique_ptr<RankWorld> make_rank_world(const std::string& name, int ranks) {
  if (name != "messages") return std::make_unique<ThreadedWorld>(ranks, from_options(name, ranks));
  auto transports = std::make_shared<std::vector<std::unique_ptr<Transport>>>(make_queue_transports(ranks, nullptr));
  return std::make_unique<ThreadedWorld>(
      ranks, [transports](int rank) { return make_message_collective(std::move((*transports)[static_cast<std::size_t>(rank)])); });
}

}  // namespace panther::comm::testing
