#pragma once
// Sockets of the TCP store and of the tcp backend: an owned descriptor, connect until a deadline, listen, accept, wake a poll.
#include <string>

#include "comm/deadline.h"
#include "comm/export.h"

namespace panther::comm::tcp {

/// Owns a file descriptor; -1 is none.
class PANTHER_COMM_API Socket {
 public:
  Socket() = default;
  explicit Socket(int fd) : fd_(fd) {}
  Socket(Socket&& other) noexcept : fd_(other.release()) {}
  Socket& operator=(Socket&& other) noexcept;
  Socket(const Socket&) = delete;
  Socket& operator=(const Socket&) = delete;
  ~Socket() { close(); }
  int fd() const noexcept { return fd_; }
  bool open() const noexcept { return fd_ >= 0; }
  int release() noexcept;
  void close() noexcept;

 private:
  int fd_ = -1;
};

/// Ends a poll() from another thread: its descriptor is readable once wake() was called, for good.
class PANTHER_COMM_API Waker {
 public:
  /// Throws Io when the process has no descriptor left.
  Waker();
  int fd() const noexcept { return event_.fd(); }
  void wake() noexcept;

 private:
  Socket event_;
};

/// A connected, non-blocking socket without delay of small messages. Tries again until the deadline while nobody listens. Throws Io saying that `whom` cannot
/// be reached.
PANTHER_COMM_API Socket connect_to(const std::string& whom, const std::string& host, int port, Deadline connect_by);
/// A non-blocking listening socket; `port` becomes the one that was bound. Throws Io with address and port.
PANTHER_COMM_API Socket listen_on(const std::string& address, int& port);
/// The next connection, as connect_to makes them; closed, with errno set, when there is none.
PANTHER_COMM_API Socket accept_from(const Socket& listener);
/// Sends everything; false with errno set when the connection is gone or the deadline passed (ETIMEDOUT).
PANTHER_COMM_API bool send_all(const Socket& socket, const std::string& bytes, Deadline deadline);
/// Appends at least one and at most `most` bytes to `buffer`; false with errno set when the connection is gone or the deadline passed (ETIMEDOUT).
PANTHER_COMM_API bool receive_some(const Socket& socket, std::string& buffer, Deadline deadline, std::size_t most = std::string::npos);
/// What poll() is given to wait until the deadline, in milliseconds: a minute at most, so that the clock is asked again.
PANTHER_COMM_API int poll_milliseconds(Deadline deadline);
/// errno as text.
PANTHER_COMM_API std::string errno_text(int error);

}  // namespace panther::comm::tcp
