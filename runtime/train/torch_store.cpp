#include "runtime/train/torch_store.h"

#include <torch/csrc/distributed/c10d/TCPStore.hpp>

#include "core/error.h"

namespace panther::runtime {

namespace {

std::chrono::milliseconds time_left(comm::Deadline deadline) {
  const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline.left());
  return std::min(left, std::chrono::milliseconds(std::chrono::hours(24)));
}

/// c10d has no "absent" for compare_set, so values carry one leading byte and the empty string means absent.
constexpr char kPresent = 'v';

class TorchStore final : public comm::Store {
 public:
  explicit TorchStore(c10::intrusive_ptr<c10d::TCPStore> store) : store_(std::move(store)) {}

  void set(const std::string& key, std::string_view value) override {
    guard("set", key, [&] { store_->set(key, stored(value)); return 0; });
  }

  std::optional<std::string> get(const std::string& key) override {
    return guard("get", key, [&]() -> std::optional<std::string> {
      if (!store_->check({key})) return std::nullopt;
      return unwrap(store_->get(key));
    });
  }

  std::string wait(const std::string& key, comm::Deadline deadline) override {
    try {
      store_->wait({key}, time_left(deadline));
    } catch (const std::exception& error) {
      if (deadline.passed()) fail(ErrorCode::Timeout, "no rank set '", key, "' in torchrun's store in time");
      fail(ErrorCode::Io, "torchrun's store failed while waiting for '", key, "': ", error.what());
    }
    return *get(key);
  }

  std::string compare_and_set(const std::string& key, const std::optional<std::string>& expected, std::string_view desired) override {
    return guard("compare_and_set", key, [&] {
      const std::vector<std::uint8_t> want = stored(desired);
      const std::vector<std::uint8_t> old = expected ? stored(*expected) : std::vector<std::uint8_t>{};
      return unwrap(store_->compareSet(key, old, want)).value_or("");
    });
  }

 private:
  static std::vector<std::uint8_t> stored(std::string_view value) {
    std::vector<std::uint8_t> bytes(value.size() + 1, static_cast<std::uint8_t>(kPresent));
    std::copy(value.begin(), value.end(), bytes.begin() + 1);
    return bytes;
  }

  static std::optional<std::string> unwrap(const std::vector<std::uint8_t>& bytes) {
    if (bytes.empty()) return std::nullopt;
    return std::string(bytes.begin() + 1, bytes.end());
  }

  template <class Body>
  auto guard(const char* what, const std::string& key, Body body) -> decltype(body()) {
    try {
      return body();
    } catch (const Error&) {
      throw;
    } catch (const std::exception& error) {
      fail(ErrorCode::Io, "torchrun's store failed in ", what, " '", key, "': ", error.what());
    }
  }

  c10::intrusive_ptr<c10d::TCPStore> store_;
};

}  // namespace

std::shared_ptr<comm::Store> open_torch_store(const std::string& host, int port, int world_size, bool serve, comm::Deadline deadline) {
  c10d::TCPStoreOptions options;
  options.port = static_cast<std::uint16_t>(port);
  options.isServer = serve;
  options.numWorkers = static_cast<std::size_t>(world_size);
  options.waitWorkers = false;
  options.timeout = time_left(deadline);
  options.multiTenant = serve;
  try {
    return std::make_shared<TorchStore>(c10::make_intrusive<c10d::TCPStore>(host, options));
  } catch (const std::exception& error) {
    if (serve) fail(ErrorCode::Io, "cannot serve the rendezvous on ", host, ":", port, " (MASTER_PORT): ", error.what());
    fail(ErrorCode::Timeout, "no rendezvous at ", host, ":", port, " (MASTER_ADDR, MASTER_PORT): ", error.what());
  }
}

}  // namespace panther::runtime
