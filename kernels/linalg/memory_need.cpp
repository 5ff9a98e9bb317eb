#include "kernels/linalg/memory_need.h"

#include <algorithm>
#include <fstream>
#include <limits>
#include <string>

#include "core/error.h"
#include "core/text.h"
#include "kernels/cuda/device_memory.h"
#include "kernels/linalg/arithmetic.h"

namespace panther::linalg {
namespace {

constexpr std::int64_t kUnknown = std::numeric_limits<std::int64_t>::max();

std::int64_t system_available() {
  std::ifstream file("/proc/meminfo");
  std::string key;
  for (std::int64_t kib = 0; file >> key >> kib; file.ignore(64, '\n')) {
    if (key == "MemAvailable:") return kib * 1024;
  }
  return kUnknown;
}

/// A number, or kUnknown for "max" and for a file that is not there.
std::int64_t number_in(const char* path) {
  std::ifstream file(path);
  std::int64_t value = 0;
  return file >> value ? value : kUnknown;
}

/// What the cgroup (version 2, then 1) of this process still allows; pages of files can be given back, so they do not count.
std::int64_t group_available() {
  std::int64_t limit = number_in("/sys/fs/cgroup/memory.max"), used = number_in("/sys/fs/cgroup/memory.current");
  const char* statistics = "/sys/fs/cgroup/memory.stat";
  if (used == kUnknown) {
    limit = number_in("/sys/fs/cgroup/memory/memory.limit_in_bytes");
    used = number_in("/sys/fs/cgroup/memory/memory.usage_in_bytes");
    statistics = "/sys/fs/cgroup/memory/memory.stat";
  }
  if (limit == kUnknown || used == kUnknown) return kUnknown;
  std::ifstream file(statistics);
  std::string key;
  for (std::int64_t value = 0; file >> key >> value;) {
    if (key == "inactive_file" || key == "active_file") used -= value;
  }
  return std::max<std::int64_t>(limit - std::max<std::int64_t>(used, 0), 0);
}

}  // namespace

std::int64_t available_bytes(Device device) {
  if (device.kind == DeviceKind::cuda) return static_cast<std::int64_t>(device_memory(device.index).free_bytes);
  return std::min(system_available(), group_available());
}

void require_memory(const Context& context, std::string_view work, double need_bytes, Device device) {
  const auto have = static_cast<double>(available_bytes(device));
  const bool lacks = need_bytes > have;
  const double lacking = context.sum_over_ranks ? Arithmetic(context, DType::f64, device).sum(lacks ? 1.0 : 0.0) : static_cast<double>(lacks);
  if (lacking == 0) return;
  if (!lacks) fail(ErrorCode::OutOfMemory, work, ": another rank lacks memory (", lacking, " of them); nothing was computed");
  fail(ErrorCode::OutOfMemory, work, " needs about ", human_bytes(need_bytes), " beside its input and ", human_bytes(have),
       " are free: use f32, a smaller rank or matrix, more ranks, or stream the matrix through SinglePassSvd");
}

}  // namespace panther::linalg
