#include "comm/rendezvous/store.h"

#include <charconv>

#include "core/error.h"

namespace panther::comm {

Store::~Store() = default;

namespace {

constexpr std::string_view kTcp = "tcp://";
constexpr std::string_view kFile = "file://";

struct HostPort {
  std::string host;
  int port = 0;
};

/// "host:port" or "[v6 address]:port".
HostPort parse_host_port(std::string_view text, const std::string& url) {
  const auto colon = text.rfind(':');
  PANTHER_REQUIRE(colon != std::string_view::npos && colon > 0, "store URL '", url, "' has no port; write tcp://host:port");
  std::string_view host = text.substr(0, colon);
  const std::string_view digits = text.substr(colon + 1);
  HostPort result;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), result.port);
  PANTHER_REQUIRE(error == std::errc{} && end == digits.data() + digits.size() && result.port > 0 && result.port < 65536,
                  "store URL '", url, "' has the port '", digits, "'; a number from 1 to 65535 is needed");
  if (host.size() > 2 && host.front() == '[' && host.back() == ']') host = host.substr(1, host.size() - 2);
  result.host = std::string(host);
  return result;
}

class PrefixStore final : public Store {
 public:
  PrefixStore(std::shared_ptr<Store> inner, std::string prefix) : inner_(std::move(inner)), prefix_(std::move(prefix)) {
    PANTHER_REQUIRE(inner_ != nullptr, "a prefix store needs a store to write to");
  }
  void set(const std::string& key, std::string_view value) override { inner_->set(prefix_ + key, value); }
  std::optional<std::string> get(const std::string& key) override { return inner_->get(prefix_ + key); }
  std::string wait(const std::string& key, Deadline deadline) override { return inner_->wait(prefix_ + key, deadline); }
  std::string compare_and_set(const std::string& key, const std::optional<std::string>& expected, std::string_view desired) override {
    return inner_->compare_and_set(prefix_ + key, expected, desired);
  }

 private:
  std::shared_ptr<Store> inner_;
  std::string prefix_;
};

}  // namespace

std::shared_ptr<Store> make_prefix_store(std::shared_ptr<Store> inner, std::string prefix) {
  return std::make_shared<PrefixStore>(std::move(inner), std::move(prefix));
}

std::shared_ptr<Store> open_store(const std::string& url, Deadline connect_by) {
  const std::string_view text = url;
  if (text.starts_with(kTcp)) {
    const HostPort place = parse_host_port(text.substr(kTcp.size()), url);
    return make_tcp_store(place.host, place.port, connect_by);
  }
  if (text.starts_with(kFile)) {
    const std::string folder(text.substr(kFile.size()));
    PANTHER_REQUIRE(folder.starts_with('/'), "store URL '", url, "' needs an absolute folder: file:///folder");
    return make_file_store(folder);
  }
  fail(ErrorCode::InvalidArgument, "store URL '", url, "' has an unknown scheme; known: tcp://host:port, file:///folder");
}

}  // namespace panther::comm
