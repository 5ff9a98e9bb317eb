// Sums over all of a gradient that steer a codec: is it finite, how large is it.
#include <algorithm>
#include <cmath>
#include <cstring>

#include "kernels/cpu/parallel.h"
#include "kernels/cpu/vectorised.h"
#include "kernels/pack/alarm.h"
#include "kernels/pack/pack_kernels.h"

namespace panther::cpu {
namespace {

PANTHER_VECTORISED std::uint32_t largest_bits(const float* values, std::int64_t count) {
  std::uint32_t largest = 0;
  for (std::int64_t i = 0; i < count; ++i) largest = std::max(largest, bits_of(values[i]) & kMagnitudeBits);
  return largest;
}

PANTHER_VECTORISED double energy_of(const float* gradient, const float* residual, std::int64_t count) {
  constexpr std::int64_t kLanes = 8;
  double lanes[kLanes] = {};
  const auto square = [&](std::int64_t i) {
    const double v = static_cast<double>(gradient[i]) + (residual == nullptr ? 0.0 : static_cast<double>(residual[i]));
    return v * v;
  };
  std::int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) {
    for (std::int64_t j = 0; j < kLanes; ++j) lanes[j] += square(i + j);
  }
  for (; i < count; ++i) lanes[0] += square(i);
  double sum = 0;
  for (const double lane : lanes) sum += lane;
  return sum;
}

PANTHER_VECTORISED void scale(float* values, std::int64_t count, float factor) {
  for (std::int64_t i = 0; i < count; ++i) values[i] *= factor;
}

/// What task i of `tasks` does of `count` elements.
struct Share {
  std::int64_t first;
  std::int64_t end;
};
Share share_of(std::int64_t count, std::int64_t tasks, std::int64_t i) { return {count * i / tasks, count * (i + 1) / tasks}; }

}  // namespace

void watch(const float* values, std::int64_t count, float* alarm, Stream) { raise_alarm(alarm, largest_bits(values, count)); }

void watch_scales(const std::byte* packed, std::int64_t blocks, float* alarm, Stream) {
  std::uint32_t largest = 0;
  for (std::int64_t b = 0; b < blocks; ++b) {
    std::uint32_t scale;
    std::memcpy(&scale, packed + b * static_cast<std::int64_t>(sizeof(scale)), sizeof(scale));
    largest = std::max(largest, scale & kMagnitudeBits);
  }
  raise_alarm(alarm, largest);
}

void add_energy(const float* gradient, const float* residual, std::int64_t count, double* sum, double* scratch, Stream) {
  parallel_for(kEnergyScratch, count, [&](std::int64_t i) {
    const Share share = share_of(count, kEnergyScratch, i);
    scratch[i] = energy_of(gradient + share.first, residual == nullptr ? nullptr : residual + share.first, share.end - share.first);
  });
  for (std::int64_t i = 0; i < kEnergyScratch; ++i) *sum += scratch[i];
}

void limit_energy(float* values, std::int64_t count, const double* energy, const double* reference, double bound, Stream) {
  const double allowed = bound * std::sqrt(*reference), norm = std::sqrt(*energy);
  if (*reference == 0 || !(norm > allowed)) return;
  constexpr std::int64_t kTasks = 64;
  const auto factor = static_cast<float>(allowed / norm);
  parallel_for(kTasks, count, [&](std::int64_t i) {
    const Share share = share_of(count, kTasks, i);
    scale(values + share.first, share.end - share.first, factor);
  });
}

void clear(void* memory, std::int64_t bytes, Stream) { std::memset(memory, 0, static_cast<std::size_t>(bytes)); }

}  // namespace panther::cpu
