#include "tests/comm/queue_transport.h"

#include <condition_variable>
#include <cstring>
#include <map>
#include <mutex>

#include "core/error.h"

namespace panther::comm::testing {
namespace {

struct Channel {
  std::map<std::uint64_t, std::vector<std::byte>> messages;  ///< by sequence number
  std::uint64_t sent = 0;
  std::uint64_t expected = 0;  ///< receives posted
};

struct Hub {
  explicit Hub(int size) : ranks(size), channels(static_cast<std::size_t>(size * size)), closed(static_cast<std::size_t>(size), 0) {}
  int ranks;
  std::mutex mutex;
  std::condition_variable changed;
  std::vector<Channel> channels;  ///< [from * ranks + to]
  std::vector<char> closed;       ///< by rank
};

class Done final : public Transfer {
 public:
  void wait(Deadline) override {}
};

class Receive final : public Transfer {
 public:
  Receive(std::shared_ptr<Hub> hub, int from, int to, void* data, std::size_t bytes)
      : hub_(std::move(hub)), from_(from), to_(to), channel_(hub_->channels[static_cast<std::size_t>(from * hub_->ranks + to)]),
        number_(channel_.expected++), data_(data), bytes_(bytes) {}

  void wait(Deadline deadline) override {
    std::unique_lock lock(hub_->mutex);
    const auto arrived = [&] { return channel_.messages.contains(number_); };
    const auto over = [&] { return arrived() || hub_->closed[static_cast<std::size_t>(from_)] || hub_->closed[static_cast<std::size_t>(to_)]; };
    if (deadline.when == Deadline::never().when) {
      hub_->changed.wait(lock, over);
    } else if (!hub_->changed.wait_until(lock, deadline.when, over)) {
      fail(ErrorCode::Timeout, "no message before the deadline");
    }
    if (!arrived()) fail(ErrorCode::PeerLost, "rank ", from_, " or ", to_, " is closed");
    const std::vector<std::byte>& message = channel_.messages.at(number_);
    PANTHER_CHECK(message.size() == bytes_, "sent ", message.size(), " bytes, expected ", bytes_);
    std::memcpy(data_, message.data(), bytes_);
    channel_.messages.erase(number_);
  }

 private:
  std::shared_ptr<Hub> hub_;
  int from_;
  int to_;
  Channel& channel_;
  std::uint64_t number_;
  void* data_;
  std::size_t bytes_;
};

class QueueTransport final : public Transport {
 public:
  QueueTransport(std::shared_ptr<Hub> hub, int rank, QueueCounts* counts) : hub_(std::move(hub)), rank_(rank), counts_(counts) {}
  ~QueueTransport() override { hang_up(); }

  std::string_view name() const noexcept override { return "messages"; }
  int rank() const noexcept override { return rank_; }
  int size() const noexcept override { return hub_->ranks; }

  std::unique_ptr<Transfer> send(int to, const void* data, std::size_t bytes) override {
    PANTHER_CHECK(to != rank_ && bytes > 0, "to ", to, ", ", bytes, " bytes");
    {
      const std::lock_guard lock(hub_->mutex);
      if (hub_->closed[static_cast<std::size_t>(rank_)]) fail(ErrorCode::PeerLost, "rank ", rank_, " is closed");
      Channel& channel = hub_->channels[static_cast<std::size_t>(rank_ * hub_->ranks + to)];
      const auto* first = static_cast<const std::byte*>(data);
      channel.messages[channel.sent++].assign(first, first + bytes);
      if (counts_ != nullptr) {
        counts_->bytes_sent[static_cast<std::size_t>(rank_)] += static_cast<std::int64_t>(bytes);
        counts_->messages_sent[static_cast<std::size_t>(rank_)] += 1;
      }
    }
    hub_->changed.notify_all();
    return std::make_unique<Done>();
  }

  std::unique_ptr<Transfer> receive(int from, void* data, std::size_t bytes) override {
    PANTHER_CHECK(from != rank_ && bytes > 0, "from ", from, ", ", bytes, " bytes");
    const std::lock_guard lock(hub_->mutex);
    return std::make_unique<Receive>(hub_, from, rank_, data, bytes);
  }

  void abort() noexcept override { hang_up(); }
  bool close() noexcept override {
    hang_up();
    return true;
  }

 private:
  void hang_up() noexcept {
    {
      const std::lock_guard lock(hub_->mutex);
      hub_->closed[static_cast<std::size_t>(rank_)] = 1;
    }
    hub_->changed.notify_all();
  }

  std::shared_ptr<Hub> hub_;
  int rank_;
  QueueCounts* counts_;
};

}  // namespace

std::vector<std::unique_ptr<Transport>> make_queue_transports(int ranks, QueueCounts* counts) {
  if (counts != nullptr) {
    counts->bytes_sent.assign(static_cast<std::size_t>(ranks), 0);
    counts->messages_sent.assign(static_cast<std::size_t>(ranks), 0);
  }
  const auto hub = std::make_shared<Hub>(ranks);
  std::vector<std::unique_ptr<Transport>> result;
  for (int rank = 0; rank < ranks; ++rank) result.push_back(std::make_unique<QueueTransport>(hub, rank, counts));
  return result;
}

}  // namespace panther::comm::testing
