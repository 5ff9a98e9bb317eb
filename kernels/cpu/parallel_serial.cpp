// For the thread sanitizer, which cannot see libgomp's synchronisation.
#include "kernels/cpu/parallel.h"

namespace panther::cpu {

void run_tasks(std::int64_t count, std::int64_t, Task task, void* context) {
  for (std::int64_t i = 0; i < count; ++i) task(context, i);
}

}  // namespace panther::cpu
