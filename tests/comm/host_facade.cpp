#include "tests/comm/host_facade.h"

#include "kernels/cuda/device_memory.h"

namespace panther::comm::testing {
namespace {

/// A device copy of a host view.
class OnDevice {
 public:
  OnDevice(const TensorView& host, int device, Stream stream) : host_(host), device_(device), stream_(stream), view_(host.flattened()) {
    view_.device = {DeviceKind::cuda, device};
    // Never null, so that a view of no elements is a valid one.
    view_.data = device_allocate(bytes() + 1, device, stream);
    if (bytes() > 0) copy_async(view_.data, host.data, bytes(), stream);
  }
  ~OnDevice() { device_release(view_.data, device_, stream_); }
  OnDevice(const OnDevice&) = delete;
  OnDevice& operator=(const OnDevice&) = delete;
  const TensorView& view() const { return view_; }
  void fetch() const {
    if (bytes() > 0) copy_async(host_.data, view_.data, bytes(), stream_);
    stream_synchronize(stream_);
  }

 private:
  std::size_t bytes() const { return static_cast<std::size_t>(host_.bytes()); }
  TensorView host_;
  int device_;
  Stream stream_;
  TensorView view_;
};

class HostFacade final : public Collective {
 public:
  HostFacade(std::unique_ptr<Collective> inner, int device) : inner_(std::move(inner)), device_(device) {
    set_device(device);
    stream_ = create_stream();
  }
  ~HostFacade() override { destroy_stream(stream_); }
  HostFacade(const HostFacade&) = delete;
  HostFacade& operator=(const HostFacade&) = delete;

  std::string_view backend() const noexcept override { return inner_->backend(); }
  int rank() const noexcept override { return inner_->rank(); }
  int size() const noexcept override { return inner_->size(); }
  DeviceKind device() const noexcept override { return DeviceKind::cpu; }

  Work all_reduce(const TensorView& buffer, ReduceOp op, Stream, Deadline deadline) override {
    const OnDevice copy(buffer, device_, stream_);
    return finish(copy, inner_->all_reduce(copy.view(), op, stream_, deadline), deadline);
  }
  Work all_gather(const TensorView& input, const TensorView& output, Stream, Deadline deadline) override {
    const OnDevice whole(output, device_, stream_);
    if (contains(output, input)) return finish(whole, inner_->all_gather(same_place(whole, output, input), whole.view(), stream_, deadline), deadline);
    const OnDevice part(input, device_, stream_);
    return finish(whole, inner_->all_gather(part.view(), whole.view(), stream_, deadline), deadline);
  }
  Work reduce_scatter(const TensorView& input, const TensorView& output, ReduceOp op, Stream, Deadline deadline) override {
    const OnDevice whole(input, device_, stream_);
    if (contains(input, output)) {
      return finish(whole, inner_->reduce_scatter(whole.view(), same_place(whole, input, output), op, stream_, deadline), deadline);
    }
    const OnDevice part(output, device_, stream_);
    finish(part, inner_->reduce_scatter(whole.view(), part.view(), op, stream_, deadline), deadline);
    return finish(whole, {}, deadline);
  }
  Work broadcast(const TensorView& buffer, int root, Stream, Deadline deadline) override {
    const OnDevice copy(buffer, device_, stream_);
    return finish(copy, inner_->broadcast(copy.view(), root, stream_, deadline), deadline);
  }
  Work all_to_all(const TensorView& input, const TensorView& output, Stream, Deadline deadline) override {
    const OnDevice from(input, device_, stream_);
    const OnDevice to(output, device_, stream_);
    return finish(to, inner_->all_to_all(from.view(), to.view(), stream_, deadline), deadline);
  }
  Work send_recv(const TensorView& outgoing, int to, const TensorView& incoming, int from, Stream, Deadline deadline) override {
    const OnDevice out(outgoing, device_, stream_);
    const OnDevice in(incoming, device_, stream_);
    return finish(in, inner_->send_recv(out.view(), to, in.view(), from, stream_, deadline), deadline);
  }
  std::unique_ptr<Collective> split(int color, Deadline deadline) override {
    std::unique_ptr<Collective> part = inner_->split(color, deadline);
    return part == nullptr ? nullptr : std::make_unique<HostFacade>(std::move(part), device_);
  }
  void barrier(Deadline deadline) override { inner_->barrier(deadline); }
  void abort() noexcept override { inner_->abort(); }
  std::int64_t all_reduce_bytes_sent(std::int64_t bytes) const noexcept override { return inner_->all_reduce_bytes_sent(bytes); }
  std::int64_t broadcast_bytes_sent(std::int64_t bytes, int root) const noexcept override { return inner_->broadcast_bytes_sent(bytes, root); }

 private:
  static bool contains(const TensorView& whole, const TensorView& part) {
    return part.as<char>() >= whole.as<char>() && part.as<char>() < whole.as<char>() + whole.bytes();
  }
  static TensorView same_place(const OnDevice& copy, const TensorView& whole, const TensorView& part) {
    return copy.view().slice((part.as<char>() - whole.as<char>()) / static_cast<std::int64_t>(size_of(part.dtype)), part.numel());
  }
  static Work finish(const OnDevice& result, const Work& work, Deadline deadline) {
    work.wait(deadline);
    result.fetch();
    return {};
  }

  std::unique_ptr<Collective> inner_;
  int device_;
  Stream stream_;
};

}  // namespace

std::unique_ptr<Collective> make_host_facade(std::unique_ptr<Collective> inner, int device) {
  return std::make_unique<HostFacade>(std::move(inner), device);
}

}  // namespace panther::comm::testing
