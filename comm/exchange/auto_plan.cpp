#include "comm/exchange/auto_plan.h"

#include <algorithm>

#include "comm/gather_integers.h"
#include "comm/exchange/layout.h"
#include "comm/exchange/link_plan.h"
#include "core/error.h"
#include "core/text.h"

namespace panther::comm {
namespace {

constexpr std::size_t kTimedSteps = 16;

std::vector<std::string> words_of(const std::string& list) {
  std::vector<std::string> words(1);
  for (const char c : list) {
    if (c == ',') words.emplace_back();
    else if (c != ' ') words.back() += c;
  }
  return words;
}

double median(std::vector<double> values) {
  if (values.empty()) return 0;
  std::nth_element(values.begin(), values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2), values.end());
  return values[values.size() / 2];
}

/// Messages that wait for one another in a stage among `ranks` ranks: a ring's.
double rounds_of(const Stage& stage, int ranks) { return (stage.kind == Stage::Kind::all_reduce ? 2.0 : 1.0) * (ranks - 1); }

double bytes_of(const Stage& stage, int ranks) {
  const std::int64_t bytes = stage.count * static_cast<std::int64_t>(size_of(stage.dtype));
  return static_cast<double>(stage.kind == Stage::Kind::all_reduce ? ring_bytes_sent(bytes, 0, ranks) : bytes * (ranks - 1));
}

std::int64_t compressible(const CodecLayout& layout, const CodecSettings& settings) {
  std::int64_t total = 0;
  for (const CodecMember& member : layout.members) {
    const bool spared = member.kind == GradientKind::sketched && !settings.compress_sketched;
    if (!spared && member.rows > 1 && member.columns > 1 && member.numel >= settings.min_numel) total += member.numel;
  }
  return total;
}

bool touches_matrices_alone(const Candidate& candidate) { return candidate.codec != "none" && candidate.codec != "half"; }

}  // namespace

std::vector<CodecOption> options_of(const Bucket& bucket, const std::vector<Candidate>& candidates, const std::vector<double>& seconds_per_element,
                                    Allocator& allocator, int ranks) {
  const Workspace memory(allocator, static_cast<std::size_t>(bucket.numel) * size_of(bucket.dtype), {}, {});
  const CodecLayout layout = layout_of(bucket, TensorView(memory.data(), bucket.dtype, {bucket.numel}), 0, ranks);
  std::vector<CodecOption> options;
  for (std::size_t c = 0; c < candidates.size(); ++c) {
    const Candidate& candidate = candidates[c];
    const bool matrices = touches_matrices_alone(candidate);
    const std::int64_t elements = compressible(layout, candidate.settings);
    CodecOption option;
    // A codec that finds nothing to compress here is `none` by another name.
    option.admissible = seconds_per_element[c] >= 0 && (!matrices || elements > 0);
    if (option.admissible) {
      const std::unique_ptr<Codec> codec = codec_registry().at(candidate.codec).make(layout, candidate.settings, allocator);
      double bytes = 0;
      for (const std::int64_t step : {0, 1}) {
        for (const Stage& stage : codec->plan(step)) {
          bytes += bytes_of(stage, ranks) / 2;
          option.rounds += rounds_of(stage, ranks) / 2;
        }
      }
      option.bytes_sent = static_cast<std::int64_t>(bytes);
      option.codec_seconds = seconds_per_element[c] * static_cast<double>(matrices ? elements : bucket.numel);
      option.error = expected_residual(candidate);
    }
    options.push_back(option);
  }
  return options;
}

AutoChoices auto_choices(const BucketPlan& plan, const CodecSettings& settings, const AutoSettings& automatic) {
  AutoChoices choices;
  if (!automatic.plan.empty()) {
    const std::vector<std::string> words = words_of(automatic.plan);
    PANTHER_REQUIRE(words.size() == 1 || words.size() == plan.buckets.size(), "comm.auto.plan names ", words.size(), " codecs and there are ",
                    plan.buckets.size(), " buckets: give one, or one for each of them");
    choices.candidates = candidates_of(words, settings);
    for (std::size_t i = 0; i < plan.buckets.size(); ++i) choices.start.push_back(words.size() == 1 ? 0 : static_cast<int>(i));
    return choices;
  }
  choices.candidates = candidates_of(automatic.candidates, settings);
  const auto half = std::find_if(choices.candidates.begin(), choices.candidates.end(), [](const Candidate& candidate) { return candidate.codec == "half"; });
  PANTHER_REQUIRE(half != choices.candidates.end(), "comm.auto.candidates must hold half: training starts with it while the link is measured");
  choices.start.assign(plan.buckets.size(), static_cast<int>(half - choices.candidates.begin()));
  return choices;
}

AutoPlan::AutoPlan(Collective& collective, const KernelSet& kernels, Allocator& allocator, const BucketPlan& plan, const std::vector<TensorView>& buckets,
                   const CodecSettings& settings, const AutoSettings& automatic, Deadline deadline)
    : collective_(collective), kernels_(kernels), allocator_(allocator), automatic_(automatic), choices_(auto_choices(plan, settings, automatic)) {
  if (!automatic_.plan.empty()) return;
  if (!buckets.empty()) device_ = buckets.front().device;
  measure(deadline);
  add_options(plan, buckets);
}

void AutoPlan::add_options(const BucketPlan& plan, const std::vector<TensorView>& buckets) {
  std::vector<double> seconds;
  for (const Candidate& candidate : choices_.candidates) {
    const bool usable = buckets.empty() || device_.kind == DeviceKind::cpu || !touches_matrices_alone(candidate);
    seconds.push_back(usable ? codec_seconds_per_element(candidate, kernels_, allocator_, device_, collective_.size()) : -1);
  }
  for (const Bucket& bucket : plan.buckets) options_.push_back(options_of(bucket, choices_.candidates, seconds, allocator_, collective_.size()));
}

void AutoPlan::measure(Deadline deadline) {
  link_ = automatic_.link_mbit > 0 ? assumed_link(automatic_.link_mbit) : measure_link(collective_, allocator_, device_, deadline);
}

void AutoPlan::observe(StepTimes times) {
  if (times_.size() == kTimedSteps) times_.erase(times_.begin());
  times_.push_back(std::move(times));
}

void AutoPlan::observe_residual(std::size_t bucket, int candidate, double ratio) {
  if (ratio > 0 && bucket < options_.size()) options_[bucket][static_cast<std::size_t>(candidate)].error = ratio;
}

bool AutoPlan::due(std::int64_t step) const noexcept {
  if (!automatic_.plan.empty() || options_.empty()) return false;
  return last_ ? step >= *last_ + automatic_.replan_every : step >= automatic_.first_plan;
}

StepProblem AutoPlan::problem(const std::vector<int>& current) const {
  StepProblem problem{.candidates = {}, .buckets = {}, .link = link_, .error_budget = automatic_.error_budget};
  for (const Candidate& candidate : choices_.candidates) problem.candidates.push_back(candidate.name);
  std::vector<double> backward;
  for (const StepTimes& times : times_) backward.push_back(times.backward_seconds);
  problem.backward_seconds = median(std::move(backward));
  problem.contention = device_.kind == DeviceKind::cpu ? 1 : 0;
  for (std::size_t i = 0; i < options_.size(); ++i) {
    std::vector<double> ready;
    for (const StepTimes& times : times_) ready.push_back(times.ready_seconds[i]);
    problem.buckets.push_back({median(std::move(ready)), options_[i], current[i]});
  }
  return problem;
}

StepPlan AutoPlan::decide(std::int64_t step, const std::vector<int>& current, Deadline deadline) {
  if (last_) measure(deadline);
  last_ = step;
  StepPlan plan;
  if (collective_.rank() == 0) plan = plan_step(problem(current));
  plan.choice.resize(current.size());
  const std::vector<std::int64_t> mine(plan.choice.begin(), plan.choice.end());
  const std::vector<std::int64_t> all = gather_integers(collective_, mine, {}, deadline);
  plan.choice.assign(all.begin(), all.begin() + static_cast<std::ptrdiff_t>(current.size()));
  plan.changed = plan.choice != current;
  times_.clear();
  return plan;
}

}  // namespace panther::comm
