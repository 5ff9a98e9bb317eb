#pragma once
// Where the exchange's work is queued and how it is ordered with the computation that makes the gradients. On the CPU everything
// happens at the call; on CUDA a stream of its own runs beside the compute stream, tied to it by events, and the host waits only
// where a comment says so.
#include <cstddef>
#include <memory>
#include <utility>

#include "kernels/stream.h"
#include "kernels/view.h"

namespace panther::comm {

/// Host memory that the device can reach asynchronously.
struct HostBlock {
  void* data = nullptr;
  std::size_t bytes = 0;
};

class Lane {
 public:
  virtual ~Lane();

  /// Where kernels and collectives go.
  virtual Stream stream() const noexcept = 0;
  /// First call of the communication thread.
  virtual void enter_thread() = 0;

  virtual void begin(Stream compute) = 0;
  /// What message `index` sends is queued on the compute stream. Any thread.
  virtual void note_ready(std::size_t index) = 0;
  /// Later work of stream() waits for that point.
  virtual void wait_ready(std::size_t index) = 0;
  /// The last message of the step is queued; later work of the compute stream waits for it.
  virtual void end() = 0;

  /// Copies on stream(); the block must live until the next settle().
  virtual void upload(const HostBlock& from, const TensorView& to) = 0;
  virtual void download(const TensorView& from, const HostBlock& to) = 0;
  /// Remembers this point of stream(), and blocks the host until it is reached.
  virtual void mark() = 0;
  virtual void settle() = 0;
  /// The view's data where the host can read it, after all work queued so far; blocks the host. Valid until the next call.
  virtual const void* read(const TensorView& view) = 0;

  /// Between steps: blocks the host until all work of the device is done, other streams' included.
  virtual void synchronize() = 0;

  virtual HostBlock allocate_host(std::size_t bytes) = 0;
  virtual void release_host(HostBlock& block) noexcept = 0;

  /// Seconds that work of the lane took in the last step known to be finished, measured on the device; negative when the host's
  /// clock around the calls is the measure.
  virtual double device_seconds() = 0;
};

/// A block that goes back when its owner goes; the lane outlives it.
class OwnedHostBlock {
 public:
  OwnedHostBlock() = default;
  OwnedHostBlock(Lane& lane, std::size_t bytes) : lane_(&lane), block_(lane.allocate_host(bytes)) {}
  OwnedHostBlock(OwnedHostBlock&& other) noexcept : lane_(other.lane_), block_(std::exchange(other.block_, {})) {}
  OwnedHostBlock& operator=(OwnedHostBlock&& other) noexcept {
    std::swap(lane_, other.lane_);
    std::swap(block_, other.block_);
    return *this;
  }
  ~OwnedHostBlock() {
    if (block_.data != nullptr) lane_->release_host(block_);
  }
  const HostBlock& get() const noexcept { return block_; }

 private:
  Lane* lane_ = nullptr;
  HostBlock block_;
};

std::unique_ptr<Lane> make_lane(Device device, std::size_t messages);

}  // namespace panther::comm
