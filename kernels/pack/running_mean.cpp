#include "kernels/cpu/parallel.h"
#include "kernels/cpu/vectorised.h"
#include "kernels/pack/pack_kernels.h"

namespace panther::cpu {
namespace {

PANTHER_VECTORISED void blend(float keep, const float* mean, const float* gradient, float* out, std::int64_t count) {
  for (std::int64_t i = 0; i < count; ++i) out[i] = keep * mean[i] + (1 - keep) * gradient[i];
}

}  // namespace

void running_mean(float keep, const float* mean, const float* gradient, std::int64_t count, float* out, Stream) {
  constexpr std::int64_t kTaskElements = 16384;
  parallel_for((count + kTaskElements - 1) / kTaskElements, 2 * count, [&](std::int64_t task) {
    const std::int64_t begin = task * kTaskElements, end = begin + kTaskElements < count ? begin + kTaskElements : count;
    blend(keep, mean + begin, gradient + begin, out + begin, end - begin);
  });
}

}  // namespace panther::cpu
