#include "comm/backends/staged_collective.h"

#include "comm/backends/arguments.h"
#include "comm/backends/stream_work.h"
#include "core/error.h"
#include "kernels/cuda/device_memory.h"
#include "kernels/kernel_set.h"

namespace panther::comm {
namespace {

/// Pinned memory that grows.
class Pinned {
 public:
  Pinned() = default;
  ~Pinned() { pinned_release(data_); }
  Pinned(const Pinned&) = delete;
  Pinned& operator=(const Pinned&) = delete;
  void* at_least(std::size_t bytes) {
    if (bytes <= size_) return data_;
    pinned_release(data_);
    data_ = nullptr;
    size_ = 0;
    data_ = pinned_allocate(bytes);
    size_ = bytes;
    return data_;
  }

 private:
  void* data_ = nullptr;
  std::size_t size_ = 0;
};

class StagedCollective final : public Collective {
 public:
  StagedCollective(std::unique_ptr<Collective> host, Device device) : host_(std::move(host)), device_(device) {}

  std::string_view backend() const noexcept override { return host_->backend(); }
  int rank() const noexcept override { return host_->rank(); }
  int size() const noexcept override { return host_->size(); }
  DeviceKind device() const noexcept override { return device_.kind; }

  Work all_reduce(const TensorView& buffer, ReduceOp op, Stream stream, Deadline deadline) override {
    check_buffer(*this, "all_reduce", buffer);
    const TensorView host = fetch(first_, buffer, stream);
    host_->all_reduce(host, op, {}, deadline);
    return bring_back(host, buffer, stream);
  }
  Work all_gather(const TensorView& input, const TensorView& output, Stream stream, Deadline deadline) override {
    check_parts(*this, "all_gather", input, output);
    const TensorView host_input = fetch(first_, input, stream);
    const TensorView host_output = place(second_, output);
    host_->all_gather(host_input, host_output, {}, deadline);
    return bring_back(host_output, output, stream);
  }
  Work reduce_scatter(const TensorView& input, const TensorView& output, ReduceOp op, Stream stream, Deadline deadline) override {
    check_parts(*this, "reduce_scatter", output, input);
    const TensorView host_input = fetch(first_, input, stream);
    const TensorView host_output = place(second_, output);
    host_->reduce_scatter(host_input, host_output, op, {}, deadline);
    return bring_back(host_output, output, stream);
  }
  Work broadcast(const TensorView& buffer, int root, Stream stream, Deadline deadline) override {
    check_buffer(*this, "broadcast", buffer);
    check_root(*this, "broadcast", root);
    const TensorView host = rank() == root ? fetch(first_, buffer, stream) : place(first_, buffer);
    host_->broadcast(host, root, {}, deadline);
    return rank() == root ? Work() : bring_back(host, buffer, stream);
  }
  Work all_to_all(const TensorView& input, const TensorView& output, Stream stream, Deadline deadline) override {
    check_all_to_all(*this, input, output);
    const TensorView host_input = fetch(first_, input, stream);
    const TensorView host_output = place(second_, output);
    host_->all_to_all(host_input, host_output, {}, deadline);
    return bring_back(host_output, output, stream);
  }
  Work send_recv(const TensorView& outgoing, int to, const TensorView& incoming, int from, Stream stream, Deadline deadline) override {
    check_send_recv(*this, outgoing, to, incoming, from);
    const TensorView host_outgoing = to < 0 ? TensorView() : fetch(first_, outgoing, stream);
    const TensorView host_incoming = from < 0 ? TensorView() : place(second_, incoming);
    host_->send_recv(host_outgoing, to, host_incoming, from, {}, deadline);
    return from < 0 ? Work() : bring_back(host_incoming, incoming, stream);
  }
  void barrier(Deadline deadline) override { host_->barrier(deadline); }
  std::unique_ptr<Collective> split(int color, Deadline deadline) override {
    std::unique_ptr<Collective> part = host_->split(color, deadline);
    return part == nullptr ? nullptr : make_staged_collective(std::move(part), device_);
  }
  void abort() noexcept override { host_->abort(); }
  std::int64_t broadcast_bytes_sent(std::int64_t bytes, int root) const noexcept override { return host_->broadcast_bytes_sent(bytes, root); }
  std::int64_t all_reduce_bytes_sent(std::int64_t bytes) const noexcept override { return host_->all_reduce_bytes_sent(bytes); }

 private:
  /// A host view of the same shape. The copies back of the call before must be over, as they read this memory.
  TensorView place(Pinned& memory, const TensorView& like) {
    last_.wait(Deadline::never());
    TensorView result = like.flattened();
    result.device = {};
    result.data = memory.at_least(static_cast<std::size_t>(like.bytes()));
    return result;
  }
  TensorView fetch(Pinned& memory, const TensorView& view, Stream stream) {
    const TensorView host = place(memory, view);
    if (view.bytes() == 0) return host;
    copy_async(host.data, view.data, static_cast<std::size_t>(view.bytes()), stream);
    stream_synchronize(stream);
    return host;
  }
  Work bring_back(const TensorView& host, const TensorView& view, Stream stream) {
    if (view.bytes() == 0) return {};
    copy_async(view.data, host.data, static_cast<std::size_t>(view.bytes()), stream);
    last_ = work_of_stream(stream);
    return last_;
  }

  std::unique_ptr<Collective> host_;
  Device device_;
  Pinned first_;
  Pinned second_;
  Work last_;
};

}  // namespace

std::unique_ptr<Collective> make_staged_collective(std::unique_ptr<Collective> host, Device device) {
  // Says why there is no device before any buffer is touched.
  kernels_for(device.kind);
  return std::make_unique<StagedCollective>(std::move(host), device);
}

}  // namespace panther::comm
