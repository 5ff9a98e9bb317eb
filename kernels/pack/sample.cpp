#include <algorithm>
#include <cstring>

#include "kernels/cpu/parallel.h"
#include "kernels/cpu/vectorised.h"
#include "kernels/element/half.h"
#include "kernels/element/sample.h"
#include "kernels/pack/alarm.h"
#include "kernels/pack/pack_kernels.h"

namespace panther::cpu {
namespace {

constexpr std::int64_t kTaskElements = 16384;
constexpr std::int64_t kSegments = 64;

PANTHER_VECTORISED std::uint32_t add_piece(const float* gradient, const float* residual, float* sum, std::int64_t count) {
  std::uint32_t largest = 0;
  for (std::int64_t i = 0; i < count; ++i) {
    const float v = residual == nullptr ? gradient[i] : gradient[i] + residual[i];
    if (sum != nullptr) sum[i] = v;
    largest = std::max(largest, bits_of(v) & kMagnitudeBits);
  }
  return largest;
}

/// Groups of one task, so many that a task is worth its start.
std::int64_t groups_per_task(std::int64_t stride) { return std::max<std::int64_t>(1, kTaskElements / stride); }

}  // namespace

void sample(const SampleArguments& a, Stream) {
  const std::int64_t groups = (a.count + a.stride - 1) / a.stride;
  const std::int64_t per_task = std::max(groups_per_task(a.stride), (groups + kSegments - 1) / kSegments);
  std::uint32_t largest[kSegments] = {};
  parallel_for((groups + per_task - 1) / per_task, 2 * a.count, [&](std::int64_t task) {
    const std::int64_t first = task * per_task * a.stride;
    const std::int64_t end = std::min(a.count, (task + 1) * per_task * a.stride);
    largest[task] = add_piece(a.gradient + first, a.residual == nullptr ? nullptr : a.residual + first, a.next == nullptr ? nullptr : a.next + first, end - first);
    for (std::int64_t g = task * per_task; g * a.stride < end; ++g) {
      const std::int64_t size = std::min(a.stride, end - g * a.stride);
      const std::int64_t at = g * a.stride + sample_place(a.key, a.step, g, size);
      a.values[g] = a.next == nullptr ? a.gradient[at] : a.next[at];
      if (a.unbiased) a.values[g] *= static_cast<float>(size);
      if (a.next != nullptr) a.next[at] = 0;
    }
  });
  raise_alarm(a.alarm, *std::max_element(largest, largest + kSegments));
}

void place(const float* values, std::int64_t count, std::int64_t stride, std::uint64_t key, std::uint64_t step, float* out, Stream) {
  const std::int64_t groups = (count + stride - 1) / stride;
  const std::int64_t per_task = groups_per_task(stride);
  parallel_for((groups + per_task - 1) / per_task, count, [&](std::int64_t task) {
    const std::int64_t first = task * per_task * stride;
    const std::int64_t end = std::min(count, (task + 1) * per_task * stride);
    std::memset(out + first, 0, static_cast<std::size_t>(end - first) * sizeof(float));
    for (std::int64_t g = task * per_task; g * stride < end; ++g) {
      out[g * stride + sample_place(key, step, g, std::min(stride, end - g * stride))] = values[g];
    }
  });
}

}  // namespace panther::cpu
