#pragma once
// A loop over independent tasks. Tasks must not depend on which thread runs them or in which order, so results do not
// depend on the thread count; reductions combine per-task values afterwards, in task order.
#include <cstdint>
#include <type_traits>

namespace panther::cpu {

/// Below this many element operations a parallel region costs more than it saves.
inline constexpr std::int64_t kSerialWork = 64 * 1024;

using Task = void (*)(void* context, std::int64_t index);

/// Threads that run_tasks() uses: 1 inside a parallel region.
int thread_count() noexcept;

/// Runs task(context, i) for i in [0, count): in parallel when `work` (element operations in all) is worth it and the
/// caller is not already inside a parallel region. Tasks must not throw.
void run_tasks(std::int64_t count, std::int64_t work, Task task, void* context);

template <class Body>
void parallel_for(std::int64_t count, std::int64_t work, Body&& body) {
  using Plain = std::remove_reference_t<Body>;
  if (count <= 1 || work < kSerialWork) {
    for (std::int64_t i = 0; i < count; ++i) body(i);
    return;
  }
  run_tasks(count, work, [](void* context, std::int64_t i) { (*static_cast<Plain*>(context))(i); }, const_cast<std::remove_const_t<Plain>*>(&body));
}

/// How many tasks may run at once: what scratch per worker is sized by. 1 inside a parallel region.
std::int64_t worker_count();

/// body(worker, task) for all tasks; a worker (below min(tasks, worker_count())) runs its tasks one after the other, so scratch may be its own.
template <class Body>
void parallel_tasks(std::int64_t tasks, std::int64_t work, Body&& body) {
  const std::int64_t count = worker_count(), workers = tasks < count ? tasks : count;
  parallel_for(workers, work, [&](std::int64_t worker) {
    for (std::int64_t task = worker; task < tasks; task += workers) body(worker, task);
  });
}

}  // namespace panther::cpu
