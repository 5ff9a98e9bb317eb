#include "kernels/sketch/sample_plan.h"

#include <algorithm>
#include <numeric>

namespace panther {

SamplePlan plan_samples(std::span<const std::int64_t> samples, int log2_size, int most_low_bits) {
  SamplePlan plan;
  plan.low_bits = std::min(log2_size, most_low_bits);
  plan.high_bits = log2_size - plan.low_bits;
  const std::int64_t mask = plan.low_size() - 1;
  plan.output.resize(samples.size());
  std::iota(plan.output.begin(), plan.output.end(), std::int64_t{0});
  const auto low_of = [&](std::int64_t i) { return samples[static_cast<std::size_t>(i)] & mask; };
  std::stable_sort(plan.output.begin(), plan.output.end(), [&](std::int64_t a, std::int64_t b) { return low_of(a) < low_of(b); });
  for (std::size_t e = 0; e < plan.output.size(); ++e) {
    const std::int64_t low = low_of(plan.output[e]);
    if (plan.low.empty() || plan.low.back() != low) {
      plan.low.push_back(low);
      plan.begin.push_back(static_cast<std::int64_t>(e));
    }
    plan.high.push_back(samples[static_cast<std::size_t>(plan.output[e])] >> plan.low_bits);
  }
  plan.begin.push_back(static_cast<std::int64_t>(plan.output.size()));
  return plan;
}

}  // namespace panther
