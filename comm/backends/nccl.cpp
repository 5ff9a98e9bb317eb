// NCCL over the memory of one device. Calls return once the work is on the stream; the communicator is non-blocking, so that
// nothing here waits longer than its deadline.
#include <nccl.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <exception>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "comm/backends/arguments.h"
#include "comm/backends/backends.h"
#include "comm/backends/half_sum.h"
#include "comm/backends/reduce.h"
#include "comm/gather_integers.h"
#include "core/error.h"
#include "kernels/cuda/device_memory.h"
#include "kernels/kernel_set.h"

namespace panther::comm {
namespace {

cudaStream_t native(Stream stream) { return static_cast<cudaStream_t>(stream.native); }

ncclDataType_t nccl_type(DType dtype) {
  switch (dtype) {
    case DType::f64: return ncclFloat64;
    case DType::f32: return ncclFloat32;
    case DType::bf16: return ncclBfloat16;
    case DType::f16: return ncclFloat16;
    case DType::i64: return ncclInt64;
    case DType::i32: return ncclInt32;
    case DType::u8: return ncclUint8;
  }
  return ncclUint8;
}

ncclRedOp_t nccl_op(ReduceOp op) {
  switch (op) {
    case ReduceOp::sum: return ncclSum;
    case ReduceOp::min: return ncclMin;
    case ReduceOp::max: return ncclMax;
  }
  return ncclSum;
}

ErrorCode code_of(ncclResult_t result) {
  switch (result) {
    case ncclRemoteError:
    case ncclSystemError: return ErrorCode::PeerLost;
    case ncclUnhandledCudaError: return ErrorCode::DeviceFault;
    default: return ErrorCode::Internal;
  }
}

/// The communicator, shared with the work that may outlive the collective. NCCL is entered by one thread at a time, in
/// calls that return soon; after `abort` it is not entered at all.
class Communicator {
 public:
  Communicator(int rank, int size, int device) : rank_(rank), size_(size), device_(device) {}
  ~Communicator() {
    if (aborter_.joinable()) aborter_.join();
    if (comm_ == nullptr) return;
    // Other ranks may be gone: while an exception passes, nobody waits for them.
    if (std::uncaught_exceptions() == 0 && finish(Deadline::after(std::chrono::seconds(10)))) {
      ncclCommDestroy(comm_);
    } else {
      ncclCommAbort(comm_);
    }
  }
  Communicator(const Communicator&) = delete;
  Communicator& operator=(const Communicator&) = delete;

  int rank() const noexcept { return rank_; }
  int size() const noexcept { return size_; }

  void connect(const ncclUniqueId& id, Deadline deadline) {
    run("ncclCommInitRankConfig", deadline, [&](ncclComm_t) {
      ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
      config.blocking = 0;
      return ncclCommInitRankConfig(&comm_, size_, id, rank_, &config);
    });
  }

  /// All ranks together. Null for a negative color.
  std::shared_ptr<Communicator> split(int color, int rank, int size, Deadline deadline) {
    const auto part = std::make_shared<Communicator>(rank, size, device_);
    run("ncclCommSplit", deadline, [&](ncclComm_t comm) {
      ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
      config.blocking = 0;
      return ncclCommSplit(comm, color < 0 ? NCCL_SPLIT_NOCOLOR : color, rank_, &part->comm_, &config);
    });
    if (color < 0) return nullptr;
    {
      const std::lock_guard lock(parts_mutex_);
      parts_.push_back(part);
    }
    part->run("ncclCommSplit", deadline, [&](ncclComm_t) { return part->state(); });
    return part;
  }

  /// Enters NCCL and waits until the call is through (on the stream, not done). Throws PeerLost, Timeout, DeviceFault.
  template <class Call>
  void run(const char* what, Deadline deadline, const Call& call) {
    if (current_device() != device_) set_device(device_);
    ncclResult_t result = enter(what, [&] { return call(comm_); });
    while (result == ncclInProgress) {
      if (deadline.passed()) {
        abort();
        fail(ErrorCode::Timeout, place(), what, " was not through before the deadline");
      }
      std::this_thread::sleep_for(std::chrono::microseconds(20));
      result = enter(what, [&] { return state(); });
    }
    check(result, what);
  }

  /// What went wrong meanwhile, for those who wait for work. Throws PeerLost, DeviceFault.
  void check_health() {
    const ncclResult_t result = enter("a collective", [&] { return state(); });
    if (result != ncclInProgress) check(result, "a collective");
  }

  /// ncclCommAbort can take a while, so a thread of its own does it.
  void abort() noexcept {
    if (aborted_.exchange(true)) return;
    {
      const std::lock_guard lock(parts_mutex_);
      for (const std::weak_ptr<Communicator>& weak : parts_) {
        if (const auto part = weak.lock()) part->abort();
      }
    }
    aborter_ = std::thread([this] {
      const std::lock_guard lock(mutex_);
      if (comm_ != nullptr) ncclCommAbort(comm_);
      comm_ = nullptr;
    });
  }

  std::string place() const { return concat("nccl (rank ", rank_, " of ", size_, "): "); }

 private:
  template <class Call>
  ncclResult_t enter(const char* what, const Call& call) {
    const std::lock_guard lock(mutex_);
    if (aborted_) fail(ErrorCode::PeerLost, place(), what, ": the group was aborted");
    return call();
  }

  ncclResult_t state() {
    // A thread of NCCL's fills in what ncclCommSplit makes, which can be after its parent is ready for more.
    const ncclComm_t comm = std::atomic_ref(comm_).load();
    if (comm == nullptr) return ncclInProgress;
    ncclResult_t result = ncclSuccess;
    const ncclResult_t asked = ncclCommGetAsyncError(comm, &result);
    return asked == ncclSuccess ? result : asked;
  }

  void check(ncclResult_t result, const char* what) {
    if (result == ncclSuccess) return;
    const std::string detail = ncclGetLastError(nullptr);
    abort();
    fail(code_of(result), place(), what, ": ", ncclGetErrorString(result), detail.empty() ? "" : "; ", detail,
         "; NCCL_DEBUG=INFO says more");
  }

  bool finish(Deadline deadline) {
    ncclResult_t result = ncclCommFinalize(comm_);
    while (result == ncclInProgress && !deadline.passed()) {
      std::this_thread::sleep_for(std::chrono::microseconds(100));
      result = state();
    }
    return result == ncclSuccess;
  }

  const int rank_;
  const int size_;
  const int device_;
  std::mutex mutex_;
  ncclComm_t comm_ = nullptr;
  std::atomic<bool> aborted_{false};
  std::thread aborter_;
  std::mutex parts_mutex_;
  std::vector<std::weak_ptr<Communicator>> parts_;  ///< made from this one
};

class NcclState final : public Work::State {
 public:
  NcclState(std::shared_ptr<Communicator> communicator, Stream stream) : communicator_(std::move(communicator)), event_(create_event()) {
    record_event(event_, stream);
  }
  ~NcclState() override { destroy_event(event_); }
  NcclState(const NcclState&) = delete;
  NcclState& operator=(const NcclState&) = delete;

  bool done() override { return event_done(event_); }

  void wait(Deadline deadline) override {
    for (int looks = 0; !event_done(event_); ++looks) {
      if (looks % 100 == 0) communicator_->check_health();
      if (deadline.passed()) {
        communicator_->abort();
        fail(ErrorCode::Timeout, communicator_->place(), "a collective was not done before the deadline");
      }
      if (looks > 1000) std::this_thread::sleep_for(std::chrono::microseconds(50));
    }
  }

 private:
  std::shared_ptr<Communicator> communicator_;
  Event event_;
};

class NcclCollective final : public Collective {
 public:
  NcclCollective(std::shared_ptr<Communicator> communicator, Device device)
      : communicator_(std::move(communicator)), half_sum_(device), stream_(create_stream()),
        token_(device_allocate(sizeof(float), device.index, stream_)), device_(device) {
    fill_zero_async(token_, sizeof(float), stream_);
  }
  ~NcclCollective() override {
    device_release(token_, device_.index, stream_);
    destroy_stream(stream_);
  }
  NcclCollective(const NcclCollective&) = delete;
  NcclCollective& operator=(const NcclCollective&) = delete;

  std::string_view backend() const noexcept override { return "nccl"; }
  int rank() const noexcept override { return communicator_->rank(); }
  int size() const noexcept override { return communicator_->size(); }
  DeviceKind device() const noexcept override { return DeviceKind::cuda; }

  Work all_reduce(const TensorView& buffer, ReduceOp op, Stream stream, Deadline deadline) override {
    check_buffer(*this, "all_reduce", buffer);
    if (buffer.numel() == 0) return {};
    if (needs_wide_sum(buffer.dtype, op) && size() > 1) {
      half_sum_.all_reduce(*this, buffer, stream, deadline);
    } else {
      communicator_->run("ncclAllReduce", deadline, [&](ncclComm_t comm) {
        return ncclAllReduce(buffer.data, buffer.data, count(buffer), nccl_type(buffer.dtype), nccl_op(op), comm, native(stream));
      });
    }
    return work(stream);
  }

  Work all_gather(const TensorView& input, const TensorView& output, Stream stream, Deadline deadline) override {
    check_parts(*this, "all_gather", input, output);
    if (input.numel() == 0) return {};
    communicator_->run("ncclAllGather", deadline, [&](ncclComm_t comm) {
      return ncclAllGather(input.data, output.data, count(input), nccl_type(input.dtype), comm, native(stream));
    });
    return work(stream);
  }

  Work reduce_scatter(const TensorView& input, const TensorView& output, ReduceOp op, Stream stream, Deadline deadline) override {
    check_parts(*this, "reduce_scatter", output, input);
    if (output.numel() == 0) return {};
    if (needs_wide_sum(input.dtype, op) && size() > 1) {
      half_sum_.reduce_scatter(*this, input, output, stream, deadline);
    } else {
      communicator_->run("ncclReduceScatter", deadline, [&](ncclComm_t comm) {
        return ncclReduceScatter(input.data, output.data, count(output), nccl_type(input.dtype), nccl_op(op), comm, native(stream));
      });
    }
    return work(stream);
  }

  Work broadcast(const TensorView& buffer, int root, Stream stream, Deadline deadline) override {
    check_buffer(*this, "broadcast", buffer);
    check_root(*this, "broadcast", root);
    if (buffer.numel() == 0) return {};
    communicator_->run("ncclBroadcast", deadline, [&](ncclComm_t comm) {
      return ncclBroadcast(buffer.data, buffer.data, count(buffer), nccl_type(buffer.dtype), root, comm, native(stream));
    });
    return work(stream);
  }

  Work all_to_all(const TensorView& input, const TensorView& output, Stream stream, Deadline deadline) override {
    check_all_to_all(*this, input, output);
    if (input.numel() == 0) return {};
    const std::size_t chunk = static_cast<std::size_t>(input.bytes() / size());
    communicator_->run("ncclSend to all", deadline, [&](ncclComm_t comm) {
      return grouped([&] {
        ncclResult_t result = ncclSuccess;
        for (int peer = 0; peer < size() && usable(result); ++peer) {
          result = ncclSend(input.as<char>() + chunk * static_cast<std::size_t>(peer), chunk, ncclUint8, peer, comm, native(stream));
          if (usable(result)) {
            result = ncclRecv(output.as<char>() + chunk * static_cast<std::size_t>(peer), chunk, ncclUint8, peer, comm, native(stream));
          }
        }
        return result;
      });
    });
    return work(stream);
  }

  Work send_recv(const TensorView& outgoing, int to, const TensorView& incoming, int from, Stream stream, Deadline deadline) override {
    check_send_recv(*this, outgoing, to, incoming, from);
    const bool sends = to >= 0 && outgoing.numel() > 0;
    const bool receives = from >= 0 && incoming.numel() > 0;
    if (!sends && !receives) return {};
    communicator_->run("ncclSend", deadline, [&](ncclComm_t comm) {
      return grouped([&] {
        ncclResult_t result = ncclSuccess;
        if (sends) result = ncclSend(outgoing.data, count(outgoing), nccl_type(outgoing.dtype), to, comm, native(stream));
        if (receives && usable(result)) {
          result = ncclRecv(incoming.data, count(incoming), nccl_type(incoming.dtype), from, comm, native(stream));
        }
        return result;
      });
    });
    return work(stream);
  }

  void barrier(Deadline deadline) override {
    all_reduce(TensorView(token_, DType::f32, {1}, device_), ReduceOp::max, stream_, deadline).wait(deadline);
  }

  std::unique_ptr<Collective> split(int color, Deadline deadline) override {
    const std::int64_t own[] = {color};
    const std::vector<int> ranks = ranks_of_color(gather_integers(*this, own, stream_, deadline), color);
    const auto place = static_cast<int>(std::find(ranks.begin(), ranks.end(), rank()) - ranks.begin());
    std::shared_ptr<Communicator> part = communicator_->split(color, place, static_cast<int>(ranks.size()), deadline);
    return part == nullptr ? nullptr : std::make_unique<NcclCollective>(std::move(part), device_);
  }

  void abort() noexcept override { communicator_->abort(); }

  /// NCCL's ring; with a tree (chosen by NCCL for small messages) some ranks send up to twice as much, others less.
  std::int64_t all_reduce_bytes_sent(std::int64_t bytes) const noexcept override { return ring_bytes_sent(bytes, rank(), size()); }

 private:
  static std::size_t count(const TensorView& view) { return static_cast<std::size_t>(view.numel()); }
  static bool usable(ncclResult_t result) { return result == ncclSuccess || result == ncclInProgress; }

  template <class Calls>
  static ncclResult_t grouped(const Calls& calls) {
    const ncclResult_t begun = ncclGroupStart();
    if (begun != ncclSuccess) return begun;
    const ncclResult_t result = calls();
    const ncclResult_t ended = ncclGroupEnd();
    return usable(result) ? ended : result;
  }

  Work work(Stream stream) { return Work(std::make_shared<NcclState>(communicator_, stream)); }

  std::shared_ptr<Communicator> communicator_;
  HalfSum half_sum_;
  Stream stream_;
  void* token_;  ///< one float on the device, for the barrier
  Device device_;
};

/// Rank 0's id, which the others read from the store.
ncclUniqueId exchange_id(const GroupOptions& options, Deadline deadline) {
  constexpr const char* kKey = "nccl/id";
  ncclUniqueId id{};
  if (options.rank == 0) {
    const ncclResult_t result = ncclGetUniqueId(&id);
    if (result != ncclSuccess) {
      fail(code_of(result), "ncclGetUniqueId: ", ncclGetErrorString(result), "; ", ncclGetLastError(nullptr),
           "; is a network interface up? NCCL_SOCKET_IFNAME chooses one");
    }
    if (options.size > 1) options.store->set(kKey, {id.internal, sizeof(id.internal)});
    return id;
  }
  const std::string bytes = options.store->wait(kKey, deadline);
  if (bytes.size() != sizeof(id.internal)) fail(ErrorCode::Corrupt, "the store's key ", kKey, " has ", bytes.size(), " bytes, 128 are needed");
  std::memcpy(id.internal, bytes.data(), bytes.size());
  return id;
}

}  // namespace

std::string why_no_nccl() { return device_count() > 0 ? std::string() : std::string(why_no_cuda()); }

std::unique_ptr<Collective> make_nccl(const GroupOptions& options) {
  if (device_count() == 0) fail(ErrorCode::Unsupported, "comm.backend = nccl: ", why_no_cuda());
  PANTHER_REQUIRE(options.device.kind == DeviceKind::cuda, "comm.backend = nccl exchanges device memory, but device = cpu; use tcp, gloo or mpi, or device = cuda");
  require_store(options, "nccl");
  const Deadline deadline = Deadline::after(options.timeout);
  set_device(options.device.index);
  const ncclUniqueId id = exchange_id(options, deadline);
  auto communicator = std::make_shared<Communicator>(options.rank, options.size, options.device.index);
  communicator->connect(id, deadline);
  return std::make_unique<NcclCollective>(std::move(communicator), options.device);
}

}  // namespace panther::comm
