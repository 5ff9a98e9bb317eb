#pragma once
// Whether a rank's gradient held nan or inf, found while a bucket is decoded: the f32 of kernels/pack/pack_kernels.h that becomes nan.
#include <array>
#include <cmath>

#include "comm/exchange/bucket_parts.h"
#include "kernels/pack/pack_kernels.h"

namespace panther::comm {

class Alarm {
 public:
  Alarm(Allocator& allocator, Device device) : device_(device), kernels_(pack_kernels(device.kind)), memory_(allocator, sizeof(float), device, {}) {
    kernels_.clear(memory_.data(), sizeof(float), {});
  }

  float* value() const noexcept { return static_cast<float*>(memory_.data()); }
  void reset(const CodecCall& call) const { kernels_.clear(value(), sizeof(float), call.stream); }
  /// Raised by nan or inf in f32 values, or in the scales of a quantised message.
  void watch(const TensorView& values, const CodecCall& call) const { kernels_.watch(values.as<float>(), values.numel(), value(), call.stream); }
  void watch_scales(const std::byte* packed, std::int64_t blocks, const CodecCall& call) const { kernels_.watch_scales(packed, blocks, value(), call.stream); }
  /// Makes the parts say that the step was not finite, whatever decoding made of them. Before BucketParts::store().
  void spoil(const BucketParts& parts, const CodecCall& call) const {
    if (parts.compressed().empty()) return;
    const TensorView first = parts.compressed().front().values.slice(0, 1), alarm(value(), DType::f32, {1}, device_);
    call.kernels.packed_sum(std::array{first, alarm}, first, call.stream);
  }
  /// For Codec::finite(): true on a device, which is not waited for.
  bool quiet() const noexcept { return device_.kind != DeviceKind::cpu || !std::isnan(*value()); }

 private:
  Device device_;
  const PackKernels& kernels_;
  Workspace memory_;
};

}  // namespace panther::comm
