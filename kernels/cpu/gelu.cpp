#include "kernels/cpu/gelu.h"

#include <algorithm>

#include "kernels/cpu/parallel.h"
#include "kernels/cpu/vectorised.h"
#include "kernels/element/gelu.h"

namespace panther::cpu {
namespace {

constexpr std::int64_t kBlock = 16384;

PANTHER_VECTORISED void values(const float* x, std::int64_t count, float* y) {
  for (std::int64_t i = 0; i < count; ++i) y[i] = gelu_value(x[i]).y;
}

PANTHER_VECTORISED void values_and_slopes(const float* x, std::int64_t count, float* y, float* __restrict slope) {
  for (std::int64_t i = 0; i < count; ++i) {
    const GeluValue value = gelu_value(x[i]);
    y[i] = value.y;
    slope[i] = value.slope;
  }
}

}  // namespace

void gelu(const float* x, std::int64_t count, float* y, float* slope) {
  parallel_for((count + kBlock - 1) / kBlock, 8 * count, [&](std::int64_t block) {
    const std::int64_t begin = block * kBlock, size = std::min(kBlock, count - begin);
    if (slope == nullptr) return values(x + begin, size, y + begin);
    values_and_slopes(x + begin, size, y + begin, slope + begin);
  });
}

}  // namespace panther::cpu
