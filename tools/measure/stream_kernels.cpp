#include "tools/measure/stream_kernels.h"

#include <omp.h>

#include <vector>

#include "kernels/cpu/vectorised.h"

namespace panther::measure {
namespace {

PANTHER_VECTORISED void triad_part(double* a, const double* b, const double* c, double scalar, std::int64_t count) {
  for (std::int64_t i = 0; i < count; ++i) a[i] = b[i] + scalar * c[i];
}

/// Thirty-two running sums: enough loads in flight that memory, not addition, sets the pace.
PANTHER_VECTORISED double sum_part(const double* a, std::int64_t count) {
  constexpr std::int64_t kLanes = 32;
  double sums[kLanes] = {};
  std::int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes)
    for (std::int64_t lane = 0; lane < kLanes; ++lane) sums[lane] += a[i + lane];
  double sum = 0;
  for (; i < count; ++i) sum += a[i];
  for (const double each : sums) sum += each;
  return sum;
}

}  // namespace

void triad(double* a, const double* b, const double* c, double scalar, std::int64_t count) {
#pragma omp parallel
  {
    const std::int64_t begin = count * omp_get_thread_num() / omp_get_num_threads(),
                       end = count * (omp_get_thread_num() + 1) / omp_get_num_threads();
    triad_part(a + begin, b + begin, c + begin, scalar, end - begin);
  }
}

double sum_of(const double* a, std::int64_t count) {
  std::vector<double> sums(static_cast<std::size_t>(omp_get_max_threads()) * 8, 0.0);
#pragma omp parallel
  {
    const std::int64_t begin = count * omp_get_thread_num() / omp_get_num_threads(),
                       end = count * (omp_get_thread_num() + 1) / omp_get_num_threads();
    sums[static_cast<std::size_t>(omp_get_thread_num()) * 8] = sum_part(a + begin, end - begin);
  }
  double sum = 0;
  for (const double each : sums) sum += each;
  return sum;
}

}  // namespace panther::measure
