#include "tools/bench/sweep.h"

namespace panther::bench {

measure::Figure SweepPlan::figure(std::string name, std::string shape, DType dtype) const {
  measure::Figure result;
  result.name = std::move(name);
  result.device = kernels.device == DeviceKind::cuda ? "cuda" : "cpu";
  result.shape = std::move(shape);
  result.dtype = dtype_name(dtype);
  result.gemm_gflops = limits.gemm_gflops(dtype);
  result.stream_gbs = limits.read_gbs;
  return result;
}

}  // namespace panther::bench
