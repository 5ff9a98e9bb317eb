#pragma once
// What a machine can do at most, measured: the yardstick beside every figure.
#include <string>

#include "kernels/kernel_set.h"

namespace panther::measure {

struct MachineLimits {
  double gemm_f64_gflops = 0;
  double gemm_f32_gflops = 0;
  double triad_gbs = 0;  ///< STREAM's triad a = b + s c, 24 bytes counted per element of f64
  double read_gbs = 0;   ///< sum of an array: 8 bytes per element

  double gemm_gflops(DType dtype) const { return dtype == DType::f64 ? gemm_f64_gflops : gemm_f32_gflops; }
};

/// Measured with the current number of threads, about a second on a CPU. The products are `kernels.gemm` of `gemm_size`^3; the arrays are
/// `stream_bytes` each, so choose more than the caches hold. On CUDA triad and read are 0: use the bandwidth of a kernel instead.
MachineLimits measure_limits(const KernelSet& kernels, std::int64_t gemm_size = 1536, std::int64_t stream_bytes = std::int64_t{128} << 20);

/// Model name of the processor and cores, or the device's name.
std::string machine_name(DeviceKind device);

}  // namespace panther::measure
