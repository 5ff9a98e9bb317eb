#include <cerrno>
#include <mutex>
#include <vector>

#include "comm/rendezvous/socket.h"
#include "comm/rendezvous/store.h"
#include "comm/rendezvous/tcp_protocol.h"
#include "core/error.h"

namespace panther::comm {
namespace {

/// How long the server may take over anything but a wait.
constexpr auto kReplyTime = std::chrono::seconds(30);

/// Keeps idle connections; each call takes one for itself, so a thread that waits holds up no other.
class TcpStore final : public Store {
 public:
  TcpStore(std::string host, int port, Deadline connect_by) : host_(std::move(host)), port_(port) {
    put_back(connect(connect_by));
  }

  void set(const std::string& key, std::string_view value) override {
    call(tcp::Verb::set, key, std::nullopt, value, Deadline::after(kReplyTime));
  }

  std::optional<std::string> get(const std::string& key) override {
    return call(tcp::Verb::get, key, std::nullopt, std::nullopt, Deadline::after(kReplyTime));
  }

  std::string wait(const std::string& key, Deadline deadline) override {
    std::optional<std::string> value = call(tcp::Verb::wait, key, std::nullopt, std::nullopt, deadline);
    PANTHER_CHECK(value.has_value(), "the store server answered a wait without a value");
    return *std::move(value);
  }

  std::string compare_and_set(const std::string& key, const std::optional<std::string>& expected, std::string_view desired) override {
    return call(tcp::Verb::compare_and_set, key, expected, desired, Deadline::after(kReplyTime)).value_or(std::string());
  }

 private:
  tcp::Socket connect(Deadline connect_by) const {
    try {
      return tcp::connect_to("the store", host_, port_, connect_by);
    } catch (const Error& error) {
      fail(ErrorCode::Io, error.what(), "; is the launcher (or rank 0) running, and do host and port match?");
    }
  }

  std::optional<std::string> call(tcp::Verb verb, const std::string& key, const std::optional<std::string>& expected,
                                  std::optional<std::string_view> value, Deadline deadline) {
    const std::size_t largest = std::max(value.value_or("").size(), expected.value_or("").size());
    PANTHER_REQUIRE(key.size() <= tcp::kMaxKeyBytes && largest <= tcp::kMaxValueBytes, "the store takes keys up to ", tcp::kMaxKeyBytes,
                    " bytes and values up to ", tcp::kMaxValueBytes, "; got ", key.size(), " and ", largest);
    tcp::Socket socket = take();
    std::string buffer;
    std::string problem;
    if (!tcp::send_all(socket, tcp::encode(verb, key, expected, value), deadline)) lost(verb, key, errno);
    for (;;) {
      if (std::optional<tcp::Message> reply = tcp::decode(buffer, problem)) {
        if (reply->verb == tcp::Verb::refused) {
          fail(ErrorCode::Io, "the store at ", host_, ":", port_, " refused: ", reply->value.value_or("no reason"));
        }
        put_back(std::move(socket));
        return std::move(reply->value);
      }
      if (!problem.empty()) fail(ErrorCode::Io, "the store at ", host_, ":", port_, ": ", problem, "; is it another service's port?");
      // On a timeout the connection closes with this scope, which takes the wait off the server.
      if (!tcp::receive_some(socket, buffer, deadline)) lost(verb, key, errno);
    }
  }

  [[noreturn]] void lost(tcp::Verb verb, const std::string& key, int error) const {
    if (error == ETIMEDOUT && verb == tcp::Verb::wait) {
      fail(ErrorCode::Timeout, "nobody set the key '", key, "' of the store at ", host_, ":", port_, " in time");
    }
    fail(ErrorCode::Io, "lost the store at ", host_, ":", port_, " (key '", key, "'): ", tcp::errno_text(error),
         "; the launcher that serves it may have ended");
  }

  tcp::Socket take() {
    {
      const std::lock_guard lock(mutex_);
      if (!idle_.empty()) {
        tcp::Socket socket = std::move(idle_.back());
        idle_.pop_back();
        return socket;
      }
    }
    return connect(Deadline::after(kReplyTime));
  }

  void put_back(tcp::Socket socket) {
    const std::lock_guard lock(mutex_);
    idle_.push_back(std::move(socket));
  }

  std::string host_;
  int port_;
  std::mutex mutex_;
  std::vector<tcp::Socket> idle_;
};

}  // namespace

std::shared_ptr<Store> make_tcp_store(const std::string& host, int port, Deadline connect_by) {
  return std::make_shared<TcpStore>(host, port, connect_by);
}

}  // namespace panther::comm
