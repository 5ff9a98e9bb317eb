// For the thread sanitizer, which cannot see libgomp's synchronisation.
#include "kernels/cpu/parallel.h"

namespace panther::cpu {

int thread_count() noexcept { return 1; }

void run_tasks(std::int64_t count, std::int64_t, Task task, void* context) {
  for (std::int64_t i = 0; i < count; ++i) task(context, i);
}

std::int64_t worker_count() { return 1; }

}  // namespace panther::cpu
