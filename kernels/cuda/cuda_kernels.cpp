#include <cuda_runtime_api.h>

#include <string>

#include "core/text.h"
#include "kernels/cuda/dense_sketch.h"
#include "kernels/cuda/entries.h"
#include "kernels/cuda/hadamard.h"
#include "kernels/cuda/sparse_sketch.h"
#include "kernels/cuda/linear.h"
#include "kernels/kernel_set.h"

namespace panther {
namespace {

/// Empty when there is a device this build has code for.
std::string find_reason() {
  int count = 0;
  const cudaError_t status = cudaGetDeviceCount(&count);
  static_cast<void>(cudaGetLastError());
  const int code = static_cast<int>(status);
  // 35 without any driver, 100 with one that shows no device (CUDA_VISIBLE_DEVICES may hide it).
  if (status == cudaErrorInsufficientDriver) return concat("no CUDA driver, or one too old (error ", code, "): install driver >= 580");
  if (status == cudaErrorNoDevice || (status == cudaSuccess && count == 0)) {
    return concat("no CUDA device (error ", code, "): check nvidia-smi and CUDA_VISIBLE_DEVICES");
  }
  if (status != cudaSuccess) return concat("the CUDA driver does not start: ", cudaGetErrorString(status), " (error ", code, ")");
  int major = 0, minor = 0;
  static_cast<void>(cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, 0));
  static_cast<void>(cudaDeviceGetAttribute(&minor, cudaDevAttrComputeCapabilityMinor, 0));
  if (major < 8) return concat("device 0 has compute capability ", major, ".", minor, "; this build needs 8.0 or newer");
  return {};
}

const std::string& reason() {
  static const std::string text = find_reason();
  return text;
}

}  // namespace

const KernelSet* cuda_kernels() {
  static const KernelSet set = [] {
    KernelSet made{"cuda", DeviceKind::cuda, cuda::gemm, cuda::sign_expand, cuda::sign_project, cuda::sign_lift, cuda::cast,
                   cuda::packed_sum, cuda::scale, cuda::sum_of_squares, cuda::adamw, cuda::sgd};
    made.dense_sketch = &cuda::kDenseSketch;
    made.sparse_sketch = &cuda::kSparseSketch;
    made.hadamard = &cuda::kHadamard;
    made.linear = &cuda::linear_kernels();
    made.lapack = cuda::lapack_kernels();
    return made;
  }();
  return reason().empty() ? &set : nullptr;
}

const char* why_no_cuda() { return reason().c_str(); }

}  // namespace panther
