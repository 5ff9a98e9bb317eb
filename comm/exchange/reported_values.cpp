#include "comm/exchange/reported_values.h"

#include "kernels/cuda/device_memory.h"

namespace panther::comm {
namespace {

bool on_host(Device device) { return device.kind == DeviceKind::cpu; }

}  // namespace

ReportedValues::ReportedValues(Allocator& allocator, std::size_t count, Device device)
    : count_(count), device_(device), kernels_(pack_kernels(device.kind)), memory_(allocator, count * sizeof(double), device, {}),
      host_(count == 0 || on_host(device) ? static_cast<double*>(memory_.data()) : static_cast<double*>(pinned_allocate(count * sizeof(double)))) {
  for (std::size_t i = 0; i < count; ++i) host_[i] = 0;
}

ReportedValues::~ReportedValues() {
  if (count_ > 0 && !on_host(device_)) pinned_release(const_cast<double*>(host_));
}

void ReportedValues::clear(const CodecCall& call) const {
  kernels_.clear(memory_.data(), static_cast<std::int64_t>(memory_.bytes()), call.stream);
}

void ReportedValues::publish(const CodecCall& call) {
  published_ = true;
  if (!on_host(device_)) copy_async(const_cast<double*>(host_), memory_.data(), memory_.bytes(), call.stream);
}

}  // namespace panther::comm
