#include "comm/rendezvous/socket.h"

#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <system_error>
#include <thread>

#include "core/error.h"

namespace panther::comm::tcp {
namespace {

using AddressList = std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)>;

/// Null with `reason` set when the name does not resolve.
AddressList resolve(const std::string& host, int port, int flags, std::string& reason) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = flags | AI_NUMERICSERV;
  addrinfo* found = nullptr;
  const int error = ::getaddrinfo(host.c_str(), std::to_string(port).c_str(), &hints, &found);
  if (error != 0) reason = ::gai_strerror(error);
  return {error == 0 ? found : nullptr, &::freeaddrinfo};
}

void send_at_once(int fd) {
  const int on = 1;
  ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
}

/// 1 when ready, 0 at the deadline (errno ETIMEDOUT), -1 on an error.
int await(int fd, short events, Deadline deadline) {
  for (;;) {
    pollfd entry{fd, events, 0};
    const int ready = ::poll(&entry, 1, poll_milliseconds(deadline));
    if (ready > 0) return 1;
    if (ready < 0 && errno != EINTR) return -1;
    if (ready == 0 && deadline.passed()) {
      errno = ETIMEDOUT;
      return 0;
    }
  }
}

/// One connection attempt, bounded by the deadline; errno says why it failed.
Socket try_connect(const addrinfo& address, Deadline connect_by) {
  Socket socket(::socket(address.ai_family, address.ai_socktype | SOCK_CLOEXEC | SOCK_NONBLOCK, address.ai_protocol));
  if (!socket.open()) return {};
  if (::connect(socket.fd(), address.ai_addr, address.ai_addrlen) != 0) {
    if (errno != EINPROGRESS || await(socket.fd(), POLLOUT, connect_by) <= 0) return {};
    int error = 0;
    socklen_t size = sizeof(error);
    ::getsockopt(socket.fd(), SOL_SOCKET, SO_ERROR, &error, &size);
    errno = error;
    if (error != 0) return {};
  }
  send_at_once(socket.fd());
  return socket;
}

}  // namespace

int poll_milliseconds(Deadline deadline) {
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(std::min<std::chrono::nanoseconds>(deadline.left(), std::chrono::minutes(1)));
  return static_cast<int>(left.count());
}

std::string errno_text(int error) { return std::generic_category().message(error); }

Waker::Waker() : event_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  if (!event_.open()) fail(ErrorCode::Io, "cannot make an eventfd: ", errno_text(errno));
}

void Waker::wake() noexcept {
  const std::uint64_t one = 1;
  // A full counter is readable as well.
  [[maybe_unused]] const ssize_t written = ::write(event_.fd(), &one, sizeof(one));
}

Socket& Socket::operator=(Socket&& other) noexcept {
  if (this != &other) {
    close();
    fd_ = other.release();
  }
  return *this;
}

int Socket::release() noexcept {
  const int fd = fd_;
  fd_ = -1;
  return fd;
}

void Socket::close() noexcept {
  if (fd_ >= 0) ::close(fd_);
  fd_ = -1;
}

Socket connect_to(const std::string& whom, const std::string& host, int port, Deadline connect_by) {
  auto pause = std::chrono::milliseconds(5);
  for (;;) {
    std::string reason;
    const AddressList addresses = resolve(host, port, 0, reason);
    for (const addrinfo* address = addresses.get(); address != nullptr; address = address->ai_next) {
      Socket socket = try_connect(*address, connect_by);
      if (socket.open()) return socket;
      reason = errno_text(errno);
    }
    if (connect_by.passed()) {
      fail(ErrorCode::Io, "cannot reach ", whom, " at ", host, ":", port, ": ", reason);
    }
    std::this_thread::sleep_for(std::min<std::chrono::nanoseconds>(pause, connect_by.left()));
    pause = std::min(pause * 2, std::chrono::milliseconds(200));
  }
}

Socket listen_on(const std::string& address, int& port) {
  std::string reason;
  const AddressList addresses = resolve(address, port, AI_PASSIVE, reason);
  for (const addrinfo* entry = addresses.get(); entry != nullptr; entry = entry->ai_next) {
    Socket socket(::socket(entry->ai_family, entry->ai_socktype | SOCK_CLOEXEC | SOCK_NONBLOCK, entry->ai_protocol));
    const int on = 1;
    ::setsockopt(socket.fd(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (!socket.open() || ::bind(socket.fd(), entry->ai_addr, entry->ai_addrlen) != 0 || ::listen(socket.fd(), 1024) != 0) {
      reason = errno_text(errno);
      continue;
    }
    sockaddr_storage bound{};
    socklen_t size = sizeof(bound);
    ::getsockname(socket.fd(), reinterpret_cast<sockaddr*>(&bound), &size);
    port = ntohs(bound.ss_family == AF_INET6 ? reinterpret_cast<sockaddr_in6&>(bound).sin6_port
                                             : reinterpret_cast<sockaddr_in&>(bound).sin_port);
    return socket;
  }
  fail(ErrorCode::Io, "cannot listen on ", address, port == 0 ? std::string() : concat(":", port), ": ", reason);
}

Socket accept_from(const Socket& listener) {
  Socket socket(::accept4(listener.fd(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
  if (socket.open()) send_at_once(socket.fd());
  return socket;
}

bool send_all(const Socket& socket, const std::string& bytes, Deadline deadline) {
  std::size_t sent = 0;
  while (sent < bytes.size()) {
    const ssize_t count = ::send(socket.fd(), bytes.data() + sent, bytes.size() - sent, MSG_NOSIGNAL);
    if (count >= 0) {
      sent += static_cast<std::size_t>(count);
    } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
      if (await(socket.fd(), POLLOUT, deadline) <= 0) return false;
    } else if (errno != EINTR) {
      return false;
    }
  }
  return true;
}

bool receive_some(const Socket& socket, std::string& buffer, Deadline deadline, std::size_t most) {
  char piece[16384];
  for (;;) {
    const ssize_t count = ::recv(socket.fd(), piece, std::min(most, sizeof(piece)), 0);
    if (count > 0) {
      buffer.append(piece, static_cast<std::size_t>(count));
      return true;
    }
    if (count == 0) {
      errno = ECONNRESET;
      return false;
    }
    if (errno == EAGAIN || errno == EWOULDBLOCK) {
      if (await(socket.fd(), POLLIN, deadline) <= 0) return false;
    } else if (errno != EINTR) {
      return false;
    }
  }
}

}  // namespace panther::comm::tcp
