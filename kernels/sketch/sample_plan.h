#pragma once
// A sampled Walsh-Hadamard transform in two passes: H_N = H_high (x) H_low. After the first pass only rows whose low bits some sample has
// are kept; the second transforms those over the high bits. Pure: the same for every device.
#include <cstdint>
#include <span>
#include <vector>

#include "kernels/export.h"

namespace panther {

/// Samples grouped by their low bits. Group g has the low bits low[g] and the entries [begin[g], begin[g + 1]) of `output` (a sample's
/// place in the caller's order) and `high` (its high bits).
struct SamplePlan {
  int low_bits = 0;
  int high_bits = 0;
  std::vector<std::int64_t> low;     ///< distinct, ascending
  std::vector<std::int64_t> begin;   ///< low.size() + 1
  std::vector<std::int64_t> output;  ///< one per sample
  std::vector<std::int64_t> high;

  std::int64_t low_size() const { return std::int64_t{1} << low_bits; }
  std::int64_t high_size() const { return std::int64_t{1} << high_bits; }
  std::int64_t groups() const { return static_cast<std::int64_t>(low.size()); }
};

/// Low bits: log2_size, at most `most_low_bits`.
PANTHER_KERNELS_API SamplePlan plan_samples(std::span<const std::int64_t> samples, int log2_size, int most_low_bits);

}  // namespace panther
