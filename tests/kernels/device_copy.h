#pragma once
// Test arrays on whichever device a kernel set runs on.
#include "kernels/allocator.h"
#include "kernels/cuda/device_memory.h"
#include "kernels/kernel_set.h"
#include "tests/kernels/array.h"

namespace panther::test {

/// A copy of an array, gaps and strides included, where `kernels` can use it. Waits for its copies.
class DeviceCopy {
 public:
  DeviceCopy(const KernelSet& kernels, const Array& array) : on_device_(kernels.device == DeviceKind::cuda), host_(array) {
    view_ = host_.view;
    if (!on_device_ || host_.view.data == nullptr) return;
    view_.device = {DeviceKind::cuda, 0};
    view_.data = plain_allocator().allocate(host_.bytes.size(), view_.device, {});
    copy_async(view_.data, host_.bytes.data(), host_.bytes.size(), {});
    stream_synchronize({});
  }
  ~DeviceCopy() {
    if (on_device_ && view_.data != nullptr) plain_allocator().release(view_.data, view_.device, {});
  }
  DeviceCopy(const DeviceCopy&) = delete;
  DeviceCopy& operator=(const DeviceCopy&) = delete;

  const TensorView& view() const { return view_; }

  /// What the kernels left, after the default stream's work.
  Array fetch() {
    if (on_device_) {
      copy_async(host_.bytes.data(), view_.data, host_.bytes.size(), {});
      stream_synchronize({});
    }
    return host_;
  }

 private:
  bool on_device_;
  Array host_;
  TensorView view_;
};

}  // namespace panther::test
