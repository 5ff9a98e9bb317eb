#pragma once
// A few f64 that kernels compute where the gradients are and the host reads later, without waiting: what it sees are the values of the last
// report that is through.
#include <vector>

#include "comm/exchange/codec.h"
#include "kernels/pack/pack_kernels.h"

namespace panther::comm {

class ReportedValues {
 public:
  ReportedValues(Allocator& allocator, std::size_t count, Device device);
  ~ReportedValues();
  ReportedValues(const ReportedValues&) = delete;
  ReportedValues& operator=(const ReportedValues&) = delete;

  double* at(std::size_t index) const noexcept { return static_cast<double*>(memory_.data()) + index; }
  void clear(const CodecCall& call) const;
  /// Queues the copy that the host will see.
  void publish(const CodecCall& call);
  bool published() const noexcept { return published_; }
  double seen(std::size_t index) const noexcept { return host_[index]; }

 private:
  std::size_t count_;
  Device device_;
  const PackKernels& kernels_;
  Workspace memory_;
  volatile double* host_;  // the device writes it at any time
  bool published_ = false;
};

}  // namespace panther::comm
