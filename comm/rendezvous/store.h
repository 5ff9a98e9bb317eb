#pragma once
// A small key-value store that ranks meet in. Every key is prefixed with job and generation (PrefixStore).
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "comm/deadline.h"
#include "comm/export.h"

namespace panther::comm {

/// Any thread. Values are bytes. Throws Io when the store cannot be reached, Timeout from wait.
class PANTHER_COMM_API Store {
 public:
  virtual ~Store();
  virtual void set(const std::string& key, std::string_view value) = 0;
  virtual std::optional<std::string> get(const std::string& key) = 0;
  /// The value as soon as somebody has set the key.
  virtual std::string wait(const std::string& key, Deadline deadline) = 0;
  /// Sets `desired` when the key's value equals `expected` (nullopt: absent). Returns the value after the call.
  virtual std::string compare_and_set(const std::string& key, const std::optional<std::string>& expected, std::string_view desired) = 0;
};

/// Of one process: ranks as threads.
PANTHER_COMM_API std::shared_ptr<Store> make_memory_store();
/// A folder on a file system that all ranks see.
PANTHER_COMM_API std::shared_ptr<Store> make_file_store(const std::string& folder);
/// Client of a TcpStoreServer.
PANTHER_COMM_API std::shared_ptr<Store> make_tcp_store(const std::string& host, int port, Deadline connect_by);
/// All keys under `prefix`.
PANTHER_COMM_API std::shared_ptr<Store> make_prefix_store(std::shared_ptr<Store> inner, std::string prefix);
/// "tcp://host:port" or "file:///folder". Throws InvalidArgument for another scheme.
PANTHER_COMM_API std::shared_ptr<Store> open_store(const std::string& url, Deadline connect_by);

/// Serves a memory store over TCP from one thread. Port 0 picks a free one.
class PANTHER_COMM_API TcpStoreServer {
 public:
  /// Throws Io naming address and port when it cannot listen (port taken).
  explicit TcpStoreServer(int port, const std::string& bind_address = "127.0.0.1");
  ~TcpStoreServer();
  TcpStoreServer(const TcpStoreServer&) = delete;
  TcpStoreServer& operator=(const TcpStoreServer&) = delete;
  int port() const noexcept;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace panther::comm
