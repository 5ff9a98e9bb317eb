// Exact selection by magnitude: magnitudes of floats order as their bits do, so three histograms (11, 10, 10 bits) find the k-th
// without sorting. The matrix is cut into kTopKSegments segments whatever the number of threads.
#include <algorithm>

#include "kernels/cpu/parallel.h"
#include "kernels/cpu/vectorised.h"
#include "kernels/element/half.h"
#include "kernels/pack/alarm.h"
#include "kernels/pack/pack_kernels.h"

namespace panther::cpu {
namespace {

constexpr std::int64_t kBins = 2048;

std::uint32_t magnitude_bits(float v) { return bits_of(v) & kMagnitudeBits; }

/// Magnitudes whose bits above `shift + width` equal `prefix` compete; the next `width` bits are their bin.
struct Digit {
  int shift = 0;
  int width = 0;
};
constexpr Digit kDigits[3] = {{20, 11}, {10, 10}, {0, 10}};

struct Segment {
  std::int64_t first = 0;
  std::int64_t end = 0;
};

Segment segment_of(std::int64_t count, std::int64_t index) {
  return {count * index / kTopKSegments, count * (index + 1) / kTopKSegments};
}

PANTHER_VECTORISED void add_segment(const float* gradient, const float* residual, float* sum, std::int64_t count) {
  if (residual == nullptr) {
    for (std::int64_t i = 0; i < count; ++i) sum[i] = gradient[i];
  } else {
    for (std::int64_t i = 0; i < count; ++i) sum[i] = gradient[i] + residual[i];
  }
}

/// Counts the competing magnitudes of all segments by bin into scratch[0, kBins).
void histogram(const TopKArguments& a, Digit digit, std::uint32_t prefix) {
  parallel_for(kTopKSegments, 2 * a.count, [&](std::int64_t s) {
    std::uint32_t* bins = a.scratch + s * kBins;
    std::fill_n(bins, kBins, 0u);
    const std::uint32_t mask = (1u << digit.width) - 1;
    const Segment segment = segment_of(a.count, s);
    for (std::int64_t i = segment.first; i < segment.end; ++i) {
      const std::uint32_t magnitude = magnitude_bits(a.next[i]);
      if ((magnitude >> (digit.shift + digit.width)) == prefix) ++bins[(magnitude >> digit.shift) & mask];
    }
  });
  for (std::int64_t s = 1; s < kTopKSegments; ++s) {
    for (std::int64_t b = 0; b < kBins; ++b) a.scratch[b] += a.scratch[s * kBins + b];
  }
}

/// The bits of the k-th largest magnitude; `ties` of the elements that equal it are to be taken.
std::uint32_t find_threshold(const TopKArguments& a, std::int64_t& ties) {
  std::uint32_t prefix = 0;
  std::int64_t wanted = a.k;
  for (const Digit digit : kDigits) {
    histogram(a, digit, prefix);
    std::int64_t bin = (1 << digit.width) - 1;
    while (wanted > a.scratch[bin]) wanted -= a.scratch[bin--];
    prefix = (prefix << digit.width) | static_cast<std::uint32_t>(bin);
  }
  ties = wanted;
  return prefix;
}

}  // namespace

void top_k(const TopKArguments& a, Stream) {
  parallel_for(kTopKSegments, a.count, [&](std::int64_t s) {
    const Segment segment = segment_of(a.count, s);
    add_segment(a.gradient + segment.first, a.residual == nullptr ? nullptr : a.residual + segment.first, a.next + segment.first, segment.end - segment.first);
  });
  std::int64_t ties = 0;
  const std::uint32_t threshold = find_threshold(a, ties);
  std::int64_t above[kTopKSegments] = {}, equal[kTopKSegments] = {};
  parallel_for(kTopKSegments, a.count, [&](std::int64_t s) {
    const Segment segment = segment_of(a.count, s);
    for (std::int64_t i = segment.first; i < segment.end; ++i) {
      above[s] += magnitude_bits(a.next[i]) > threshold ? 1 : 0;
      equal[s] += magnitude_bits(a.next[i]) == threshold ? 1 : 0;
    }
  });
  std::int64_t start[kTopKSegments] = {}, take[kTopKSegments] = {};
  std::int64_t at = 0, left = ties;
  for (std::int64_t s = 0; s < kTopKSegments; ++s) {
    start[s] = at;
    take[s] = std::min(left, equal[s]);
    left -= take[s];
    at += above[s] + take[s];
  }
  parallel_for(kTopKSegments, a.count, [&](std::int64_t s) {
    const Segment segment = segment_of(a.count, s);
    std::int64_t out = start[s], tied = take[s];
    for (std::int64_t i = segment.first; i < segment.end; ++i) {
      const std::uint32_t magnitude = magnitude_bits(a.next[i]);
      if (magnitude < threshold || (magnitude == threshold && tied-- <= 0)) continue;
      a.indices[out] = static_cast<std::uint32_t>(i);
      a.values[out++] = a.next[i];
      a.next[i] = 0;
    }
  });
}

}  // namespace panther::cpu
