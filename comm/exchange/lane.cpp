#include "comm/exchange/lane.h"

#include <cstdlib>
#include <cstring>
#include <vector>

#include "kernels/allocator.h"
#include "kernels/cuda/device_memory.h"

namespace panther::comm {
namespace {

class HostLane final : public Lane {
 public:
  Stream stream() const noexcept override { return {}; }
  void enter_thread() override {}
  void begin(Stream) override {}
  void note_ready(std::size_t) override {}
  void wait_ready(std::size_t) override {}
  void end() override {}
  void upload(const HostBlock& from, const TensorView& to) override { std::memcpy(to.data, from.data, static_cast<std::size_t>(to.bytes())); }
  void download(const TensorView& from, const HostBlock& to) override {
    std::memcpy(to.data, from.data, static_cast<std::size_t>(from.bytes()));
  }
  void mark() override {}
  void settle() override {}
  const void* read(const TensorView& view) override { return view.data; }
  void synchronize() override {}
  HostBlock allocate_host(std::size_t bytes) override { return {plain_allocator().allocate(bytes, {}, {}), bytes}; }
  void release_host(HostBlock& block) noexcept override {
    if (block.data != nullptr) plain_allocator().release(block.data, {}, {});
    block = {};
  }
  double device_seconds() override { return -1; }
};

class OwnedEvent {
 public:
  explicit OwnedEvent(bool timed) : event_(create_event(timed)) {}
  OwnedEvent(OwnedEvent&& other) noexcept : event_(other.event_) { other.event_ = {}; }
  ~OwnedEvent() { if (event_.native != nullptr) destroy_event(event_); }
  Event get() const noexcept { return event_; }

 private:
  Event event_;
};

class CudaLane final : public Lane {
 public:
  CudaLane(Device device, std::size_t messages) : device_(device), stream_((set_device(device.index), create_stream())) {
    for (std::size_t i = 0; i < messages; ++i) ready_.emplace_back(false);
    for (int i = 0; i < 2; ++i) {
      started_.emplace_back(true);
      ended_.emplace_back(true);
    }
  }
  ~CudaLane() override {
    release_host(bounce_);
    destroy_stream(stream_);
  }

  Stream stream() const noexcept override { return stream_; }
  void enter_thread() override { set_device(device_.index); }
  void begin(Stream compute) override {
    compute_ = compute;
    ++step_;
    open_ = false;
  }
  void note_ready(std::size_t index) override { record_event(ready_[index].get(), compute_); }
  void wait_ready(std::size_t index) override {
    stream_wait_event(stream_, ready_[index].get());
    if (!open_) record_event(started_[step_ % 2].get(), stream_);
    open_ = true;
  }
  void end() override {
    record_event(ended_[step_ % 2].get(), stream_);
    stream_wait_event(compute_, ended_[step_ % 2].get());
  }
  void upload(const HostBlock& from, const TensorView& to) override {
    copy_async(to.data, from.data, static_cast<std::size_t>(to.bytes()), stream_);
  }
  void download(const TensorView& from, const HostBlock& to) override {
    copy_async(to.data, from.data, static_cast<std::size_t>(from.bytes()), stream_);
  }
  void mark() override { record_event(mark_.get(), stream_); }
  void settle() override { event_synchronize(mark_.get()); }
  const void* read(const TensorView& view) override {
    const auto bytes = static_cast<std::size_t>(view.bytes());
    if (bytes > bounce_.bytes) {
      release_host(bounce_);
      bounce_ = allocate_host(bytes);
    }
    copy_async(bounce_.data, view.data, bytes, stream_);
    stream_synchronize(stream_);
    return bounce_.data;
  }
  void synchronize() override {
    const int before = current_device();
    set_device(device_.index);
    device_synchronize();
    set_device(before);
  }
  HostBlock allocate_host(std::size_t bytes) override { return {pinned_allocate(bytes), bytes}; }
  void release_host(HostBlock& block) noexcept override {
    if (block.data != nullptr) pinned_release(block.data);
    block = {};
  }
  double device_seconds() override {
    const std::size_t before = (step_ + 1) % 2;  // the step before: this one may still run
    if (step_ < 2 || !event_done(ended_[before].get())) return 0;
    return elapsed_seconds(started_[before].get(), ended_[before].get());
  }

 private:
  Device device_;
  Stream stream_;
  Stream compute_;
  std::vector<OwnedEvent> ready_;
  std::vector<OwnedEvent> started_;
  std::vector<OwnedEvent> ended_;
  OwnedEvent mark_{false};
  HostBlock bounce_;
  std::size_t step_ = 0;
  bool open_ = false;
};

}  // namespace

Lane::~Lane() = default;

std::unique_ptr<Lane> make_lane(Device device, std::size_t messages) {
  if (device.kind == DeviceKind::cuda) return std::make_unique<CudaLane>(device, messages);
  return std::make_unique<HostLane>();
}

}  // namespace panther::comm
