#include <omp.h>

#include "kernels/cpu/parallel.h"

namespace panther::cpu {

int thread_count() noexcept { return omp_in_parallel() ? 1 : omp_get_max_threads(); }

void run_tasks(std::int64_t count, std::int64_t, Task task, void* context) {
  if (omp_in_parallel()) {
    for (std::int64_t i = 0; i < count; ++i) task(context, i);
    return;
  }
#pragma omp parallel for schedule(static)
  for (std::int64_t i = 0; i < count; ++i) task(context, i);
}

std::int64_t worker_count() { return omp_in_parallel() ? 1 : omp_get_max_threads(); }

}  // namespace panther::cpu
