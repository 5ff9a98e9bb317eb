#pragma once
// The only bridge between torch tensors and Panther's views.
#include <ATen/core/Tensor.h>

#include "kernels/allocator.h"
#include "kernels/kernel_set.h"
#include "runtime/export.h"

namespace panther::runtime {

/// A view of the tensor's memory; the tensor must outlive it. Throws Unsupported for dtypes that Panther has not.
PANTHER_RUNTIME_API TensorView view_of(const at::Tensor& tensor);
/// A tensor over the view's memory without ownership.
PANTHER_RUNTIME_API at::Tensor tensor_over(const TensorView& view);
PANTHER_RUNTIME_API DType dtype_of(const at::Tensor& tensor);
PANTHER_RUNTIME_API at::ScalarType scalar_type_of(DType dtype);
PANTHER_RUNTIME_API at::Device torch_device(Device device);
/// torch's current stream of the device; null on the CPU.
PANTHER_RUNTIME_API Stream current_stream(Device device);
/// The kernels for the device with `gemm` replaced by torch's on the CPU. Throws Unsupported with the reason.
PANTHER_RUNTIME_API const KernelSet& runtime_kernels(DeviceKind device);
/// torch's caching allocator.
PANTHER_RUNTIME_API Allocator& torch_allocator();
/// "cpu", "cuda", "cuda:1". Throws InvalidArgument, or Unsupported with the reason when CUDA cannot run here.
PANTHER_RUNTIME_API Device parse_device(const std::string& name, int local_rank);

}  // namespace panther::runtime
