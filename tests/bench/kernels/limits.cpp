// GEMM peak and memory bandwidth of this machine, one JSON line each: the limits beside which other figures stand.
#include "tools/measure/machine_limits.h"
#include "tools/measure/timing.h"

using namespace panther;

int main() {
  const measure::MachineLimits limits = measure::measure_limits(cpu_kernels());
  measure::Figure figure{.name = "limits", .shape = "gemm 1536, arrays 128 MiB", .dtype = "f64"};
  figure.numbers = {{"gemm_f64_gflops", limits.gemm_f64_gflops},
                    {"gemm_f32_gflops", limits.gemm_f32_gflops},
                    {"triad_gbs", limits.triad_gbs},
                    {"read_gbs", limits.read_gbs}};
  figure.words = {{"machine", measure::machine_name(DeviceKind::cpu)}};
  measure::print_json(figure);
}
