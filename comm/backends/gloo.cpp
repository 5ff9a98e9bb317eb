// gloo's TCP transport as a Transport. Its collectives are not used: they cannot be aborted from another thread, and which
// of them runs depends on sizes in ways that the byte ledger could not predict.
#include <dlfcn.h>
#include <gloo/rendezvous/context.h>
#include <gloo/rendezvous/store.h>
#include <gloo/transport/tcp/device.h>
#include <gloo/transport/unbound_buffer.h>
#include <net/if.h>
#include <netdb.h>
#include <sys/socket.h>

#include <algorithm>
#include <mutex>
#include <stdexcept>

#include "comm/backends/arguments.h"
#include "comm/backends/backends.h"
#include "comm/backends/listen_address.h"
#include "comm/backends/message_collective.h"
#include "comm/rendezvous/store.h"
#include "core/error.h"

namespace panther::comm {
namespace {

using std::chrono::milliseconds;

/// gloo's names for values in our store.
class StoreBridge final : public gloo::rendezvous::Store {
 public:
  StoreBridge(comm::Store& store, Deadline deadline) : store_(store), deadline_(deadline) {}
  void set(const std::string& key, const std::vector<char>& data) override { store_.set(name(key), {data.data(), data.size()}); }
  std::vector<char> get(const std::string& key) override {
    const std::string value = store_.wait(name(key), deadline_);
    return {value.begin(), value.end()};
  }
  void wait(const std::vector<std::string>& keys) override {
    for (const std::string& key : keys) store_.wait(name(key), deadline_);
  }
  void wait(const std::vector<std::string>& keys, const milliseconds&) override { wait(keys); }

 private:
  static std::string name(const std::string& key) { return "gloo/" + key; }
  comm::Store& store_;
  Deadline deadline_;
};

/// gloo waits this long at most; far enough for "never" and near enough for its clock arithmetic.
milliseconds gloo_time(Deadline deadline) {
  constexpr milliseconds kLongest = std::chrono::hours(24 * 365);
  if (deadline.when == Deadline::never().when) return kLongest;
  return std::clamp(std::chrono::ceil<milliseconds>(deadline.left()), milliseconds(1), kLongest);
}

/// What a wait of the communication thread waits for, so that `abort` can end it.
class Waiting {
 public:
  using Buffer = gloo::transport::UnboundBuffer;

  /// False when the group was aborted.
  bool begin(Buffer* buffer) {
    const std::lock_guard lock(mutex_);
    current_ = buffer;
    return !aborted_;
  }
  void end() {
    const std::lock_guard lock(mutex_);
    current_ = nullptr;
  }
  void abort() {
    const std::lock_guard lock(mutex_);
    aborted_ = true;
    if (current_ == nullptr) return;
    current_->abortWaitRecv();
    current_->abortWaitSend();
  }

 private:
  std::mutex mutex_;
  Buffer* current_ = nullptr;
  bool aborted_ = false;
};

class GlooTransfer final : public Transfer {
 public:
  GlooTransfer(Waiting& waiting, const gloo::Context& context, std::unique_ptr<gloo::transport::UnboundBuffer> buffer, int peer, bool sends)
      : waiting_(waiting), context_(context), buffer_(std::move(buffer)), peer_(peer), sends_(sends) {}

  void wait(Deadline deadline) override {
    bool finished = false;
    std::string reason = "this rank aborted";
    if (waiting_.begin(buffer_.get())) {
      try {
        finished = sends_ ? buffer_->waitSend(gloo_time(deadline)) : buffer_->waitRecv(gloo_time(deadline));
      } catch (const std::exception& error) {
        reason = error.what();
      }
    }
    waiting_.end();
    if (finished) return;
    const std::string where = concat("gloo (rank ", context_.rank, " of ", context_.size, ") ", sends_ ? "sending to" : "receiving from", " rank ", peer_);
    if (deadline.passed()) fail(ErrorCode::Timeout, where, ": not done before the deadline");
    fail(ErrorCode::PeerLost, where, ": ", reason);
  }

 private:
  Waiting& waiting_;
  const gloo::Context& context_;
  std::unique_ptr<gloo::transport::UnboundBuffer> buffer_;
  int peer_;
  bool sends_;
};

class GlooTransport final : public Transport {
 public:
  explicit GlooTransport(std::shared_ptr<gloo::Context> context) : context_(std::move(context)) {}
  ~GlooTransport() override { hang_up(); }
  GlooTransport(const GlooTransport&) = delete;
  GlooTransport& operator=(const GlooTransport&) = delete;

  std::string_view name() const noexcept override { return "gloo"; }
  int rank() const noexcept override { return context_->rank; }
  int size() const noexcept override { return context_->size; }

  std::unique_ptr<Transfer> send(int to, const void* data, std::size_t bytes) override {
    return start(to, true, const_cast<void*>(data), bytes);
  }
  std::unique_ptr<Transfer> receive(int from, void* data, std::size_t bytes) override { return start(from, false, data, bytes); }
  void abort() noexcept override { waiting_.abort(); }
  /// gloo forgets a buffer when its transfer is destroyed.
  bool close() noexcept override {
    hang_up();
    return true;
  }

 private:
  /// Messages of one pair match in order, so one slot serves all.
  static constexpr std::uint64_t kSlot = 0x70616e;

  void hang_up() noexcept {
    try {
      context_->closeConnections();
    } catch (const std::exception&) {
      // A connection that broke before is as closed as can be.
    }
  }

  std::unique_ptr<Transfer> start(int peer, bool sends, void* data, std::size_t bytes) {
    try {
      std::unique_ptr<gloo::transport::UnboundBuffer> buffer = context_->createUnboundBuffer(data, bytes);
      if (sends) {
        buffer->send(peer, kSlot);
      } else {
        buffer->recv(peer, kSlot);
      }
      return std::make_unique<GlooTransfer>(waiting_, *context_, std::move(buffer), peer, sends);
    } catch (const std::exception& error) {
      fail(ErrorCode::PeerLost, "gloo (rank ", rank(), " of ", size(), ") lost rank ", peer, ": ", error.what());
    }
  }

  Waiting waiting_;
  std::shared_ptr<gloo::Context> context_;
};

gloo::transport::tcp::attr address_for(const GroupOptions& options) {
  gloo::transport::tcp::attr result;
  const std::string address = interface_choice(options);
  (::if_nametoindex(address.c_str()) != 0 ? result.iface : result.hostname) = address;
  return result;
}

/// gloo reads the list of addresses even where the look-up failed and left none.
void require_resolvable(const std::string& host) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  const int status = ::getaddrinfo(host.c_str(), nullptr, &hints, &found);
  if (status != 0) throw std::runtime_error(::gai_strerror(status));
  ::freeaddrinfo(found);
}

std::shared_ptr<gloo::transport::Device> open_device(const gloo::transport::tcp::attr& address) {
  try {
    if (address.iface.empty()) require_resolvable(address.hostname);
    return gloo::transport::tcp::CreateDevice(address);
  } catch (const std::exception& error) {
    fail(ErrorCode::InvalidArgument, "gloo cannot use '", address.iface.empty() ? address.hostname : address.iface, "': ", error.what(),
         "; set comm.interface_address or GLOO_SOCKET_IFNAME to a network interface or address of this host");
  }
}

std::string library_of(const void* address) {
  Dl_info info{};
  return ::dladdr(address, &info) != 0 && info.dli_fname != nullptr ? info.dli_fname : "an unknown library";
}

/// libtorch_cpu exports symbols of its own, newer gloo; a mixture of the two crashes.
std::string foreign_gloo() {
  const auto function = &gloo::transport::tcp::CreateDevice;
  const std::string library = library_of(reinterpret_cast<const void*>(function));
  if (library.find("libgloo") != std::string::npos) return {};
  return concat("gloo's symbols come from ", library, " instead of libgloo: link libpanther_comm and -lgloo before torch");
}

}  // namespace

std::string why_no_gloo() { return foreign_gloo(); }

std::unique_ptr<Collective> make_gloo(const GroupOptions& options) {
  const std::string foreign = foreign_gloo();
  PANTHER_CHECK(foreign.empty(), foreign);
  require_store(options, "gloo");
  const Deadline deadline = Deadline::after(options.timeout);
  std::shared_ptr<gloo::transport::Device> device = open_device(address_for(options));
  try {
    auto context = std::make_shared<gloo::rendezvous::Context>(options.rank, options.size);
    context->setTimeout(gloo_time(deadline));
    if (options.size > 1) {
      StoreBridge store(*options.store, deadline);
      context->connectFullMesh(store, device);
    }
    return make_message_collective(std::make_unique<GlooTransport>(std::move(context)));
  } catch (const Error&) {
    throw;
  } catch (const std::exception& error) {
    fail(deadline.passed() ? ErrorCode::Timeout : ErrorCode::PeerLost, "gloo (rank ", options.rank, " of ", options.size, ") cannot connect over ",
         device->str(), ": ", error.what(), "; set comm.interface_address or GLOO_SOCKET_IFNAME to a network all ranks share");
  }
}

}  // namespace panther::comm
