#pragma once
// Sockets of the TCP store: an owned descriptor, connect until a deadline, listen.
#include <string>

#include "comm/deadline.h"

namespace panther::comm::tcp {

/// Owns a file descriptor; -1 is none.
class Socket {
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

/// A connected, non-blocking socket without delay of small messages. Tries again until the deadline while nobody listens. Throws Io.
Socket connect_to(const std::string& host, int port, Deadline connect_by);
/// A non-blocking listening socket; `port` becomes the one that was bound. Throws Io with address, port and remedy.
Socket listen_on(const std::string& address, int& port);
/// Sends everything; false with errno set when the connection is gone or the deadline passed (ETIMEDOUT).
bool send_all(const Socket& socket, const std::string& bytes, Deadline deadline);
/// Appends at least one byte to `buffer`; false with errno set when the connection is gone or the deadline passed (ETIMEDOUT).
bool receive_some(const Socket& socket, std::string& buffer, Deadline deadline);
/// errno as text.
std::string errno_text(int error);

}  // namespace panther::comm::tcp
