// How the ranks of a group find each other and connect, every pair by one socket.
#include <poll.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <random>
#include <sstream>

#include "comm/backends/arguments.h"
#include "comm/backends/backends.h"
#include "comm/backends/listen_address.h"
#include "comm/backends/message_collective.h"
#include "comm/backends/tcp_transport.h"
#include "core/error.h"

namespace panther::comm {
namespace {

/// Both sides of a new connection say who they are. The nonce is the listener's: only who has read the store knows it.
struct Hello {
  std::uint64_t magic = 0x31'70'63'74'72'68'74'70;  // "pthrtcp1"
  std::uint64_t nonce = 0;
  std::int64_t rank = 0;
};
static_assert(sizeof(Hello) == 24);

/// Where a rank listens, as it stands in the store.
struct Listener {
  std::string host;
  int port = 0;
  std::uint64_t nonce = 0;
};

std::string key_of(int rank) { return concat("tcp/", rank); }

std::string to_text(const Listener& listener) { return concat(listener.host, ' ', listener.port, ' ', listener.nonce); }

Listener from_text(const std::string& text) {
  Listener result;
  std::istringstream(text) >> result.host >> result.port >> result.nonce;
  return result;
}

std::uint64_t random_nonce() {
  std::random_device device;
  return (std::uint64_t{device()} << 32) | device();
}

Hello hello_in(const char* bytes) {
  Hello result;
  std::memcpy(&result, bytes, sizeof(result));
  return result;
}

bool send_hello(const tcp::Socket& socket, const Hello& hello, Deadline deadline) {
  return tcp::send_all(socket, std::string(reinterpret_cast<const char*>(&hello), sizeof(hello)), deadline);
}

/// A connection whose other side has not yet said who it is.
struct Stranger {
  tcp::Socket socket;
  std::array<char, sizeof(Hello)> bytes{};
  std::size_t received = 0;

  enum class Says : std::uint8_t { nothing_yet, everything, goodbye };

  Says listen() {
    const ssize_t count = ::recv(socket.fd(), bytes.data() + received, bytes.size() - received, 0);
    if (count < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR)) return Says::nothing_yet;
    if (count <= 0) return Says::goodbye;
    received += static_cast<std::size_t>(count);
    return received == bytes.size() ? Says::everything : Says::nothing_yet;
  }
};

class Meeting {
 public:
  Meeting(const GroupOptions& options, Deadline deadline)
      : options_(options), deadline_(deadline), peers_(static_cast<std::size_t>(options.size)) {
    own_.host = listen_address(options);
    own_.nonce = random_nonce();
    try {
      listener_ = tcp::listen_on(own_.host, own_.port);
    } catch (const Error& error) {
      fail(ErrorCode::InvalidArgument, "tcp: ", error.what(), "; set comm.interface_address or GLOO_SOCKET_IFNAME to a network interface or address of this host");
    }
  }

  /// Calls every lower rank, is called by every higher one, then hears the answers of those it called: no rank waits for another to finish its calls.
  std::vector<tcp::Socket> run() {
    options_.store->set(key_of(options_.rank), to_text(own_));
    for (int rank = 0; rank < options_.rank; ++rank) call(rank);
    be_called();
    for (int rank = 0; rank < options_.rank; ++rank) hear(rank);
    return std::move(peers_);
  }

 private:
  std::string here() const { return concat("tcp (rank ", options_.rank, " of ", options_.size, ")"); }
  static const char* remedy() { return "set comm.interface_address or GLOO_SOCKET_IFNAME to a network that all ranks share"; }

  void call(int rank) {
    const Listener listener = from_text(options_.store->wait(key_of(rank), deadline_));
    tcp::Socket& socket = peers_[static_cast<std::size_t>(rank)];
    try {
      socket = tcp::connect_to(concat("rank ", rank), listener.host, listener.port, deadline_);
    } catch (const Error& error) {
      fail(deadline_.passed() ? ErrorCode::Timeout : ErrorCode::PeerLost, here(), ": ", error.what(), "; ", remedy());
    }
    if (!send_hello(socket, {.nonce = listener.nonce, .rank = options_.rank}, deadline_)) fail(ErrorCode::PeerLost, here(), " lost rank ", rank, " while connecting: ", tcp::errno_text(errno));
    nonces_.push_back(listener.nonce);
  }

  void hear(int rank) {
    std::string answer;
    const tcp::Socket& socket = peers_[static_cast<std::size_t>(rank)];
    while (answer.size() < sizeof(Hello)) {
      if (tcp::receive_some(socket, answer, deadline_, sizeof(Hello) - answer.size())) continue;
      fail(errno == ETIMEDOUT ? ErrorCode::Timeout : ErrorCode::PeerLost, here(), ": rank ", rank, " did not answer: ", tcp::errno_text(errno), "; ", remedy());
    }
    const Hello hello = hello_in(answer.data());
    if (hello.magic != Hello{}.magic || hello.nonce != nonces_[static_cast<std::size_t>(rank)] || hello.rank != rank) {
      fail(ErrorCode::PeerLost, here(), ": something else answers where rank ", rank, " listens; ", remedy());
    }
  }

  /// Until every higher rank has called. What does not know the nonce is hung up on.
  void be_called() {
    std::vector<Stranger> strangers;
    for (std::vector<int> missing = missing_ranks(); !missing.empty(); missing = missing_ranks()) {
      std::vector<pollfd> polled{{listener_.fd(), POLLIN, 0}};
      for (const Stranger& stranger : strangers) polled.push_back({stranger.socket.fd(), POLLIN, 0});
      ::poll(polled.data(), polled.size(), tcp::poll_milliseconds(deadline_));
      for (std::size_t i = 1; i < polled.size(); ++i) {
        if (polled[i].revents != 0) meet(strangers[i - 1]);
      }
      std::erase_if(strangers, [](const Stranger& stranger) { return !stranger.socket.open(); });
      if (polled[0].revents != 0) {
        Stranger next{.socket = tcp::accept_from(listener_)};
        if (next.socket.open()) strangers.push_back(std::move(next));
      }
      if (!deadline_.passed()) continue;
      std::ostringstream ranks;
      for (const int rank : missing) ranks << ' ' << rank;
      fail(ErrorCode::Timeout, here(), " waited on ", own_.host, ":", own_.port, " for the call of rank", missing.size() == 1 ? "" : "s", ranks.str(),
           "; is it running? If so, ", remedy());
    }
  }

  void meet(Stranger& stranger) {
    const Stranger::Says says = stranger.listen();
    if (says == Stranger::Says::nothing_yet) return;
    tcp::Socket socket = std::move(stranger.socket);
    if (says == Stranger::Says::goodbye) return;
    const Hello hello = hello_in(stranger.bytes.data());
    if (hello.magic != Hello{}.magic || hello.nonce != own_.nonce || hello.rank <= options_.rank || hello.rank >= options_.size) return;
    if (send_hello(socket, {.nonce = own_.nonce, .rank = options_.rank}, deadline_)) peers_[static_cast<std::size_t>(hello.rank)] = std::move(socket);
  }

  std::vector<int> missing_ranks() const {
    std::vector<int> missing;
    for (int rank = options_.rank + 1; rank < options_.size; ++rank) {
      if (!peers_[static_cast<std::size_t>(rank)].open()) missing.push_back(rank);
    }
    return missing;
  }

  const GroupOptions& options_;
  Deadline deadline_;
  Listener own_;
  tcp::Socket listener_;
  std::vector<tcp::Socket> peers_;       ///< by rank
  std::vector<std::uint64_t> nonces_;    ///< of lower ranks
};

}  // namespace

std::unique_ptr<Collective> make_tcp(const GroupOptions& options) {
  if (options.size == 1) return make_message_collective(make_tcp_transport(0, std::vector<tcp::Socket>(1)));
  require_store(options, "tcp");
  return make_message_collective(make_tcp_transport(options.rank, Meeting(options, Deadline::after(options.timeout)).run()));
}

}  // namespace panther::comm
