#include "tools/measure/machine_limits.h"

#include <fstream>
#include <thread>
#include <vector>

#include "core/text.h"
#include "kernels/cuda/device_memory.h"
#include "kernels/matrix.h"
#include "tools/measure/stream_kernels.h"
#include "tools/measure/timing.h"

namespace panther::measure {
namespace {

double gemm_gflops(const KernelSet& kernels, DType dtype, std::int64_t n) {
  Allocator& allocator = plain_allocator();
  const Device device{kernels.device, 0};
  const Matrix a(allocator, device, {}, dtype, n, n), b(allocator, device, {}, dtype, n, n), c(allocator, device, {}, dtype, n, n);
  // Signs: any values do, but not zeros, denormals or nans, which some processors multiply at another speed.
  kernels.sign_expand(SignKey::of(1, "measure.a"), 0, 0, 0.5, a.view(), {});
  kernels.sign_expand(SignKey::of(1, "measure.b"), 0, 0, 0.5, b.view(), {});
  const Timing timing = time_runs([&] { kernels.gemm(1, a.view(), b.view(), 0, c.view(), {}, {}, {}); },
                                  {.warm_ups = 1, .least_runs = 5, .most_runs = 20, .budget_seconds = 0.4, .device = kernels.device});
  return 2.0 * static_cast<double>(n) * static_cast<double>(n) * static_cast<double>(n) / timing.fastest * 1e-9;
}

}  // namespace

MachineLimits measure_limits(const KernelSet& kernels, std::int64_t gemm_size, std::int64_t stream_bytes) {
  MachineLimits limits;
  limits.gemm_f64_gflops = gemm_gflops(kernels, DType::f64, gemm_size);
  limits.gemm_f32_gflops = gemm_gflops(kernels, DType::f32, gemm_size);
  if (kernels.device != DeviceKind::cpu) return limits;
  const std::int64_t count = stream_bytes / static_cast<std::int64_t>(sizeof(double));
  std::vector<double> a(static_cast<std::size_t>(count), 1.0), b(a), c(a);
  const TimingPlan plan{.warm_ups = 1, .least_runs = 5, .most_runs = 20, .budget_seconds = 0.3};
  limits.triad_gbs =
      3.0 * static_cast<double>(stream_bytes) / time_runs([&] { triad(a.data(), b.data(), c.data(), 0.5, count); }, plan).fastest * 1e-9;
  double sum = 0;
  limits.read_gbs = static_cast<double>(stream_bytes) / time_runs([&] { sum += sum_of(b.data(), count); }, plan).fastest * 1e-9;
  if (sum <= 0) limits.read_gbs = 0;  // keeps the sums
  return limits;
}

std::string machine_name(DeviceKind device) {
  if (device == DeviceKind::cuda) return device_count() > 0 ? device_name(0) : "no device";
  std::ifstream facts("/proc/cpuinfo");
  for (std::string line; std::getline(facts, line);)
    if (line.starts_with("model name"))
      return concat(line.substr(line.find(':') + 2), ", ", std::thread::hardware_concurrency(), " threads");
  return concat("unknown processor, ", std::thread::hardware_concurrency(), " threads");
}

}  // namespace panther::measure
