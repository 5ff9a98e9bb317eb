#pragma once
// CUDA's status codes as panther's errors, and the current device as a scope. Only for files under kernels/cuda.
#include <cuda_runtime_api.h>

#include "kernels/stream.h"

namespace panther::cuda {

/// Throws for a failed call: Unsupported without driver or device, OutOfMemory, else DeviceFault. `what` is the call.
void check_status(cudaError_t status, const char* what);
/// Of the launch just made.
inline void check_launch(const char* kernel) { check_status(cudaGetLastError(), kernel); }

inline cudaStream_t native(Stream stream) { return static_cast<cudaStream_t>(stream.native); }

inline int device_attribute(cudaDeviceAttr name, int device) {
  int value = 0;
  check_status(cudaDeviceGetAttribute(&value, name, device), "cudaDeviceGetAttribute");
  return value;
}

/// Makes a device current and the former one again at the end.
class DeviceScope {
 public:
  explicit DeviceScope(int device) {
    check_status(cudaGetDevice(&former_), "cudaGetDevice");
    if (former_ == device) return;
    check_status(cudaSetDevice(device), "cudaSetDevice");
    changed_ = true;
  }
  ~DeviceScope() {
    if (changed_) static_cast<void>(cudaSetDevice(former_));
  }
  DeviceScope(const DeviceScope&) = delete;
  DeviceScope& operator=(const DeviceScope&) = delete;

 private:
  int former_ = 0;
  bool changed_ = false;
};

}  // namespace panther::cuda
