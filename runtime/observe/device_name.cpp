#include "runtime/observe/device_name.h"

#include <ATen/Context.h>
#include <ATen/cuda/CUDAContextLight.h>

namespace panther::runtime {

std::string device_name(int device_index) {
  if (!at::hasCUDA()) return "";
  return at::cuda::getDeviceProperties(static_cast<c10::DeviceIndex>(device_index))->name;
}

}  // namespace panther::runtime
