#include "comm/exchange/link_plan.h"

#include "comm/exchange/auto_plan.h"
#include "comm/exchange/layout.h"

namespace panther::comm {

LinkRate assumed_link(double megabits) { return {.latency_seconds = 1e-4, .bytes_per_second = megabits * 1e6 / 8}; }

StepPlan plan_for_link(const BucketPlan& plan, const ExchangeConfig& config, const KernelSet& kernels, Allocator& allocator, int ranks, const LinkRate& link,
                       std::vector<std::string>* names) {
  AutoSettings unpinned = config.automatic;
  unpinned.plan.clear();
  const std::vector<Candidate> candidates = candidates_of(unpinned, config.settings);
  StepProblem problem{.link = link, .error_budget = config.automatic.error_budget};
  std::vector<double> seconds;
  for (const Candidate& candidate : candidates) {
    problem.candidates.push_back(candidate.name);
    seconds.push_back(codec_seconds_per_element(candidate, kernels, allocator, {}, ranks));
  }
  for (const Bucket& bucket : plan.buckets) {
    problem.buckets.push_back({.options = options_of(bucket, candidates, seconds, allocator, ranks),
                               .weight = static_cast<double>(compressible_elements(layout_of(bucket, {}, 0, 1), config.settings))});
  }
  if (names != nullptr) *names = problem.candidates;
  return plan_step(problem);
}

}  // namespace panther::comm
