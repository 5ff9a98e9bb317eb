#include <poll.h>
#include <sys/socket.h>

#include <cerrno>
#include <list>
#include <map>
#include <thread>
#include <vector>

#include "comm/rendezvous/socket.h"
#include "comm/rendezvous/store.h"
#include "comm/rendezvous/tcp_protocol.h"
#include "core/error.h"

namespace panther::comm {
namespace {

constexpr std::size_t kMaxConnections = 8192;

struct Connection {
  tcp::Socket socket;
  std::string in;
  std::string out;
  std::string waits_for;  ///< key of an unanswered wait
  bool waiting = false;
  bool closing = false;   ///< close when `out` is empty
  bool dead = false;
};

}  // namespace

/// One thread owns every socket and the values; only `stop_` is touched from outside.
struct TcpStoreServer::Impl {
  Impl(int wanted_port, const std::string& address)
      : port(wanted_port), listener(listen(address, port)) {
    thread = std::thread([this] { serve(); });
  }

  ~Impl() {
    stop.wake();
    thread.join();
  }

  static tcp::Socket listen(const std::string& address, int& port) {
    try {
      return tcp::listen_on(address, port);
    } catch (const Error& error) {
      fail(ErrorCode::Io, error.what(), "; another process may hold the port: choose another one, or 0 for any free port");
    }
  }

  void serve() {
    std::vector<pollfd> polled;
    for (;;) {
      polled.assign({{stop.fd(), POLLIN, 0}, {listener.fd(), POLLIN, 0}});
      for (const Connection& connection : connections) {
        polled.push_back({connection.socket.fd(), static_cast<short>(connection.out.empty() ? POLLIN : POLLIN | POLLOUT), 0});
      }
      if (::poll(polled.data(), polled.size(), -1) < 0 && errno != EINTR) return;
      if (polled[0].revents != 0) return;
      std::size_t i = 2;
      for (Connection& connection : connections) {
        const short events = polled[i++].revents;
        if ((events & (POLLIN | POLLHUP | POLLERR)) != 0) read(connection);
        if (!connection.out.empty()) flush(connection);
      }
      // A set may have put answers into connections that were passed already.
      for (Connection& connection : connections) {
        if (!connection.out.empty()) flush(connection);
      }
      connections.remove_if([](const Connection& c) { return c.dead || (c.closing && c.out.empty()); });
      if ((polled[1].revents & POLLIN) != 0) accept_all();
    }
  }

  void accept_all() {
    for (;;) {
      tcp::Socket socket = tcp::accept_from(listener);
      if (!socket.open()) {
        // Out of descriptors: the poll would spin on the waiting peer, so give others time to close.
        if (errno == EMFILE || errno == ENFILE) std::this_thread::sleep_for(std::chrono::milliseconds(10));
        return;
      }
      if (connections.size() >= kMaxConnections) continue;
      Connection& fresh = connections.emplace_back();
      fresh.socket = std::move(socket);
    }
  }

  void read(Connection& connection) {
    char piece[65536];
    for (;;) {
      const ssize_t count = ::recv(connection.socket.fd(), piece, sizeof(piece), 0);
      if (count > 0) {
        connection.in.append(piece, static_cast<std::size_t>(count));
        if (count == static_cast<ssize_t>(sizeof(piece))) continue;
        break;
      }
      if (count < 0 && errno == EINTR) continue;
      if (count < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) break;
      connection.dead = true;
      return;
    }
    std::string problem;
    while (!connection.closing) {
      std::optional<tcp::Message> message = tcp::decode(connection.in, problem);
      if (!problem.empty()) refuse(connection, problem);
      if (!message) return;
      answer(connection, *message);
    }
  }

  void answer(Connection& connection, const tcp::Message& message) {
    if (connection.waiting) return refuse(connection, "a request while a wait is unanswered");
    const auto found = values.find(message.key);
    const bool present = found != values.end();
    switch (message.verb) {
      case tcp::Verb::set:
        store(message.key, message.value.value_or(""));
        return reply(connection, std::nullopt);
      case tcp::Verb::get:
        return present ? reply(connection, found->second) : reply(connection, std::nullopt);
      case tcp::Verb::wait:
        if (present) return reply(connection, found->second);
        connection.waiting = true;
        connection.waits_for = message.key;
        return;
      case tcp::Verb::compare_and_set:
        if (present ? message.expected == found->second : !message.expected.has_value()) {
          store(message.key, message.value.value_or(""));
          return reply(connection, message.value.value_or(""));
        }
        return present ? reply(connection, found->second) : reply(connection, std::nullopt);
      case tcp::Verb::reply:
      case tcp::Verb::refused:
        break;
    }
    refuse(connection, "unknown request");
  }

  void store(const std::string& key, const std::string& value) {
    values.insert_or_assign(key, value);
    for (Connection& other : connections) {
      if (!other.waiting || other.waits_for != key) continue;
      other.waiting = false;
      reply(other, value);
    }
  }

  static void reply(Connection& connection, std::optional<std::string_view> value) {
    connection.out += tcp::encode(tcp::Verb::reply, "", std::nullopt, value);
  }

  static void refuse(Connection& connection, const std::string& reason) {
    connection.out += tcp::encode(tcp::Verb::refused, "", std::nullopt, reason);
    connection.closing = true;
  }

  static void flush(Connection& connection) {
    while (!connection.out.empty()) {
      const ssize_t count = ::send(connection.socket.fd(), connection.out.data(), connection.out.size(), MSG_NOSIGNAL);
      if (count < 0 && errno == EINTR) continue;
      if (count < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return;
      if (count < 0) {
        connection.dead = true;
        return;
      }
      connection.out.erase(0, static_cast<std::size_t>(count));
    }
  }

  int port;
  tcp::Socket listener;
  tcp::Waker stop;
  std::list<Connection> connections;
  std::map<std::string, std::string> values;
  std::thread thread;
};

TcpStoreServer::TcpStoreServer(int port, const std::string& bind_address) : impl_(std::make_unique<Impl>(port, bind_address)) {}
TcpStoreServer::~TcpStoreServer() = default;
int TcpStoreServer::port() const noexcept { return impl_->port; }

}  // namespace panther::comm
