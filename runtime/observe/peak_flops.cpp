#include "runtime/observe/peak_flops.h"

#include <algorithm>
#include <array>
#include <chrono>

#include "kernels/cuda/precision.h"
#include "runtime/layers/dense_product.h"
#include "runtime/observe/device_name.h"

namespace panther::runtime {
namespace {

struct DeviceSheet {
  std::string_view part;  ///< of the name; the first match wins
  double half, tensor_f32, f32, f64;  ///< TFLOP/s
};

// NVIDIA's data sheets, dense figures; f64 on the tensor cores.
constexpr std::array<DeviceSheet, 8> kSheets{{
    {"H100 PCIe", 756, 378, 51, 51},
    {"H100 NVL", 835, 418, 60, 60},
    {"H100", 989, 494, 67, 67},
    {"H200", 989, 494, 67, 67},
    {"GH200", 989, 494, 67, 67},
    {"B200", 2250, 1125, 75, 37},
    {"A100", 312, 156, 19.5, 19.5},
    {"L40S", 362, 183, 91.6, 1.4},
}};

double timed_flops(at::ScalarType compute) {
  using Clock = std::chrono::steady_clock;
  constexpr std::int64_t kSize = 768;
  const at::NoGradGuard no_grad;
  const at::Tensor a = at::ones({kSize, kSize}, compute);
  const at::Tensor b = at::ones({kSize, kSize}, compute);
  at::Tensor c = at::mm(a, b);
  double best_seconds = 1e9, spent = 0;
  for (int run = 0; run < 40 && spent < 0.2; ++run) {
    const auto begin = Clock::now();
    // torch's product and the layers' own take turns: whichever is faster here is the limit.
    if (run % 2 == 0) at::mm_out(c, a, b);
    else c = dense_product(a, b, {});
    const double took = std::chrono::duration<double>(Clock::now() - begin).count();
    best_seconds = std::min(best_seconds, took);
    spent += took;
  }
  return 2.0 * kSize * kSize * kSize / best_seconds;
}

}  // namespace

double data_sheet_flops(std::string_view name, at::ScalarType compute, bool tensor_f32) {
  const auto sheet = std::find_if(kSheets.begin(), kSheets.end(), [&](const DeviceSheet& s) { return name.find(s.part) != name.npos; });
  if (sheet == kSheets.end()) return 0;
  if (compute == at::kBFloat16 || compute == at::kHalf) return sheet->half * 1e12;
  if (compute == at::kFloat) return (tensor_f32 ? sheet->tensor_f32 : sheet->f32) * 1e12;
  return compute == at::kDouble ? sheet->f64 * 1e12 : 0;
}

double peak_flops(at::Device device, at::ScalarType compute) {
  if (device.is_cuda()) return data_sheet_flops(device_name(device.has_index() ? device.index() : 0), compute, cuda_tf32());
  return device.is_cpu() && at::isFloatingType(compute) ? timed_flops(compute) : 0;
}

}  // namespace panther::runtime
