#include "comm/backends/tcp_transport.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <deque>

#include "core/error.h"

namespace panther::comm {
namespace {

/// One message in one direction. Nobody but the thread that calls the transport touches it or its memory.
struct Message {
  std::uint64_t length = 0;  ///< what travels before the data
  std::byte* data = nullptr;
  std::size_t bytes = 0;
  std::size_t moved = 0;     ///< of length and data together

  bool finished() const noexcept { return moved == sizeof(length) + bytes; }
  /// What has not moved yet, of length and of data.
  std::array<iovec, 2> rest() {
    const std::size_t of_length = std::min(moved, sizeof(length)), of_data = moved - of_length;
    return {{{reinterpret_cast<std::byte*>(&length) + of_length, sizeof(length) - of_length}, {data + of_data, bytes - of_data}}};
  }
};

struct Peer {
  tcp::Socket socket;
  std::deque<std::shared_ptr<Message>> sends;
  std::deque<std::shared_ptr<Message>> receives;

  short events() const noexcept { return static_cast<short>((sends.empty() ? 0 : POLLOUT) | (receives.empty() ? 0 : POLLIN)); }
};

class TcpTransport final : public Transport {
 public:
  TcpTransport(int rank, std::vector<tcp::Socket> sockets) : rank_(rank), peers_(sockets.size()) {
    for (std::size_t i = 0; i < sockets.size(); ++i) peers_[i].socket = std::move(sockets[i]);
  }

  std::string_view name() const noexcept override { return "tcp"; }
  int rank() const noexcept override { return rank_; }
  int size() const noexcept override { return static_cast<int>(peers_.size()); }

  std::unique_ptr<Transfer> send(int to, const void* data, std::size_t bytes) override {
    Peer& peer = usable(to);
    auto message = std::make_shared<Message>(Message{.length = bytes, .data = static_cast<std::byte*>(const_cast<void*>(data)), .bytes = bytes});
    peer.sends.push_back(message);
    push(to);
    return std::make_unique<TcpTransfer>(*this, to, true, std::move(message));
  }

  std::unique_ptr<Transfer> receive(int from, void* data, std::size_t bytes) override {
    auto message = std::make_shared<Message>(Message{.data = static_cast<std::byte*>(data), .bytes = bytes});
    usable(from).receives.push_back(message);
    return std::make_unique<TcpTransfer>(*this, from, false, std::move(message));
  }

  void abort() noexcept override {
    aborted_ = true;
    wake_.wake();
  }

  bool close() noexcept override {
    for (Peer& peer : peers_) peer = {};
    return true;
  }

 private:
  class TcpTransfer final : public Transfer {
   public:
    TcpTransfer(TcpTransport& transport, int peer, bool sends, std::shared_ptr<Message> message)
        : transport_(transport), peer_(peer), sends_(sends), message_(std::move(message)) {}
    ~TcpTransfer() override {
      if (!message_->finished()) transport_.close();
    }
    void wait(Deadline deadline) override { transport_.finish(*message_, peer_, sends_, deadline); }

   private:
    TcpTransport& transport_;
    int peer_;
    bool sends_;
    std::shared_ptr<Message> message_;
  };

  Peer& usable(int rank) {
    Peer& peer = peers_[static_cast<std::size_t>(rank)];
    if (!peer.socket.open()) fail(ErrorCode::PeerLost, "tcp (rank ", rank_, " of ", size(), ") has no connection to rank ", rank);
    return peer;
  }

  [[noreturn]] void lose(int peer, bool sending, const std::string& reason) const {
    fail(ErrorCode::PeerLost, "tcp (rank ", rank_, " of ", size(), ") ", sending ? "sending to" : "receiving from", " rank ", peer, ": ", reason);
  }

  /// Moves one message as far as its socket lets it; false when the socket has to be waited for.
  bool move(int rank, Message& message, bool sending) {
    std::array<iovec, 2> parts = message.rest();
    msghdr header{};
    header.msg_iov = parts.data();
    header.msg_iovlen = parts.size();
    const int fd = peers_[static_cast<std::size_t>(rank)].socket.fd();
    const ssize_t count = sending ? ::sendmsg(fd, &header, MSG_NOSIGNAL) : ::recvmsg(fd, &header, 0);
    if (count < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return false;
    if (count < 0 && errno != EINTR) lose(rank, sending, tcp::errno_text(errno));
    if (count == 0) lose(rank, sending, "it closed the connection: it ended or failed");
    if (count > 0) message.moved += static_cast<std::size_t>(count);
    if (!sending && message.moved >= sizeof(message.length) && message.length != message.bytes) {
      fail(ErrorCode::Internal, "tcp (rank ", rank_, " of ", size(), "): rank ", rank, " sent ", message.length, " bytes where ", message.bytes,
           " were expected; the ranks are out of step");
    }
    return true;
  }

  void push(int rank) {
    std::deque<std::shared_ptr<Message>>& sends = peers_[static_cast<std::size_t>(rank)].sends;
    while (!sends.empty() && move(rank, *sends.front(), true)) {
      if (sends.front()->finished()) sends.pop_front();
    }
  }

  void pull(int rank) {
    std::deque<std::shared_ptr<Message>>& receives = peers_[static_cast<std::size_t>(rank)].receives;
    while (!receives.empty() && move(rank, *receives.front(), false)) {
      if (receives.front()->finished()) receives.pop_front();
    }
  }

  void finish(const Message& message, int peer, bool sends, Deadline deadline) {
    if (!message.finished()) {
      usable(peer);
      sends ? push(peer) : pull(peer);
    }
    while (!message.finished()) {
      if (aborted_) lose(peer, sends, "this rank aborted");
      if (deadline.passed()) {
        fail(ErrorCode::Timeout, "tcp (rank ", rank_, " of ", size(), ") ", sends ? "sending to" : "receiving from", " rank ", peer, ": not done before the deadline");
      }
      wait_for_any(deadline);
    }
    if (aborted_) lose(peer, sends, "this rank aborted");
  }

  /// Until some socket is ready, the deadline or abort(); then moves what can move.
  void wait_for_any(Deadline deadline) {
    polled_.assign({{wake_.fd(), POLLIN, 0}});
    polled_ranks_.assign({rank_});
    for (int i = 0; i < size(); ++i) {
      const Peer& peer = peers_[static_cast<std::size_t>(i)];
      if (peer.events() == 0) continue;
      polled_.push_back({peer.socket.fd(), peer.events(), 0});
      polled_ranks_.push_back(i);
    }
    if (::poll(polled_.data(), polled_.size(), tcp::poll_milliseconds(deadline)) <= 0) return;
    for (std::size_t i = 1; i < polled_.size(); ++i) {
      if ((polled_[i].revents & ~POLLOUT) != 0) pull(polled_ranks_[i]);
      if ((polled_[i].revents & ~POLLIN) != 0) push(polled_ranks_[i]);
    }
  }

  int rank_;
  tcp::Waker wake_;
  std::vector<Peer> peers_;  ///< by rank
  std::vector<pollfd> polled_;
  std::vector<int> polled_ranks_;
  std::atomic<bool> aborted_ = false;
};

}  // namespace

std::unique_ptr<Transport> make_tcp_transport(int rank, std::vector<tcp::Socket> peers) { return std::make_unique<TcpTransport>(rank, std::move(peers)); }

}  // namespace panther::comm
