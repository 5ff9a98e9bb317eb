#include "comm/exchange/auto_plan.h"

#include <algorithm>
#include <cmath>
#include <set>

#include "comm/gather_integers.h"
#include "comm/exchange/bucket_parts.h"
#include "comm/exchange/error_feedback.h"
#include "comm/exchange/layout.h"
#include "comm/exchange/link_plan.h"
#include "core/error.h"
#include "core/text.h"

namespace panther::comm {
namespace {

constexpr std::size_t kTimedSteps = 16;
constexpr const char* kPlanWanted = "exchange/plan_wanted";
/// Steps for which a measured link is believed.
constexpr std::int64_t kLinkSteps = 64;

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

std::size_t middle_of(const std::vector<Candidate>& candidates, const std::string& codec) {
  std::vector<std::size_t> same;
  for (std::size_t c = 0; c < candidates.size(); ++c) {
    if (candidates[c].codec == codec) same.push_back(c);
  }
  return same[same.size() / 2];
}

bool touches_matrices_alone(const Candidate& candidate) { return candidate.codec != "none" && candidate.codec != "half"; }

}  // namespace

std::int64_t compressible_elements(const CodecLayout& layout, const CodecSettings& settings) {
  std::int64_t total = 0;
  for (const CodecMember& member : layout.members) total += is_large_matrix(member, settings) ? member.numel : 0;
  return total;
}

std::vector<CodecOption> options_of(const Bucket& bucket, const std::vector<Candidate>& candidates, const std::vector<double>& seconds_per_element,
                                    Allocator& allocator, int ranks) {
  const Workspace memory(allocator, static_cast<std::size_t>(bucket.numel) * size_of(bucket.dtype), {}, {});
  const CodecLayout layout = layout_of(bucket, TensorView(memory.data(), bucket.dtype, {bucket.numel}), 0, ranks);
  std::vector<CodecOption> options;
  for (std::size_t c = 0; c < candidates.size(); ++c) {
    const Candidate& candidate = candidates[c];
    const bool matrices = touches_matrices_alone(candidate);
    const std::int64_t elements = compressible_elements(layout, candidate.settings);
    CodecOption option;
    // A codec that finds nothing to compress here is `none` by another name.
    option.admissible = !matrices || elements > 0;
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
  AutoChoices choices{.candidates = candidates_of(automatic, settings), .start = {}};
  const std::size_t words = choices.candidates.size(), buckets = plan.buckets.size();
  if (automatic.plan.empty()) {
    choices.start.assign(buckets, static_cast<int>(place_of_half(choices.candidates)));
    return choices;
  }
  PANTHER_REQUIRE(words == 1 || words == buckets, "comm.auto.plan names ", words, " codecs and there are ", buckets, " buckets: give one, or one for each of them");
  for (std::size_t i = 0; i < buckets; ++i) choices.start.push_back(words == 1 ? 0 : static_cast<int>(i));
  return choices;
}

AutoPlan::AutoPlan(Collective& collective, const KernelSet& kernels, Allocator& allocator, const BucketPlan& plan, const std::vector<TensorView>& buckets,
                   const CodecSettings& settings, const AutoSettings& automatic, Deadline deadline)
    : collective_(collective), kernels_(kernels), allocator_(allocator), automatic_(automatic), choices_(auto_choices(plan, settings, automatic)) {
  if (!automatic_.plan.empty()) return;
  if (!buckets.empty()) device_ = buckets.front().device;
  measure(deadline);
  plan_ = plan.buckets;
  buckets_ = buckets;
  add_options(plan);
}

void AutoPlan::add_options(const BucketPlan& plan) {
  std::vector<double> seconds;
  for (const Candidate& candidate : choices_.candidates) {
    seconds.push_back(codec_seconds_per_element(candidate, kernels_, allocator_, device_, collective_.size()));
  }
  for (const Bucket& bucket : plan.buckets) {
    options_.push_back(options_of(bucket, choices_.candidates, seconds, allocator_, collective_.size()));
    weights_.push_back(static_cast<double>(compressible_elements(layout_of(bucket, {}, 0, 1), choices_.candidates.front().settings)));
  }
  std::vector<std::string> names;
  for (const Bucket& bucket : plan.buckets) names.push_back(name_of(bucket));
  learned_ = LearnedErrors(std::move(names));
}

void AutoPlan::measure(Deadline deadline) {
  link_ = automatic_.link_mbit > 0 ? assumed_link(automatic_.link_mbit) : measure_link(collective_, allocator_, device_, deadline);
}

void AutoPlan::observe(StepTimes times) {
  if (times_.size() == kTimedSteps) times_.erase(times_.begin());
  times_.push_back(std::move(times));
}

void AutoPlan::observe_residual(std::size_t bucket, int candidate, double ratio, std::int64_t step) {
  if (ratio <= 0 || bucket >= options_.size() || step % ErrorFeedback::kGuardPeriod != 0 || step == last_) return;
  const double expected = options_[bucket][static_cast<std::size_t>(candidate)].error;
  if (!(expected > 0)) return;
  const double factor = ratio / expected;
  learned_.observe(bucket, codec_of(candidate), factor);
  // Rank 0's errors decide the plan: another's would ask for the same plan again and again. The error as the planner will see it.
  if (expected * factor > automatic_.error_budget && collective_.rank() == 0) wants_plan_ = true;
}

std::int64_t next_plan(std::optional<std::int64_t> last, const AutoSettings& settings) {
  if (!last) return 0;
  std::int64_t step = settings.first_plan;
  while (step <= *last && step < settings.replan_every) step *= 2;
  return step > *last ? step : step + (*last - step) / settings.replan_every * settings.replan_every + settings.replan_every;
}

double slack_at(std::int64_t step, const AutoSettings& settings) {
  constexpr double kLeast = 0.05;
  if (step == 0) return kLeast;
  return std::clamp(static_cast<double>(settings.settle) / static_cast<double>(step), kLeast, 1.0);
}

bool AutoPlan::due(std::int64_t step) const noexcept {
  return automatic_.plan.empty() && !options_.empty() && (soon_ || due_by_calendar(step));
}

StepProblem AutoPlan::problem(std::int64_t step, const std::vector<int>& current) const {
  // Before anything was learned of the residuals, gradients are at their largest: what waits then outweighs the gradients of many later steps.
  const double budget = last_ ? automatic_.error_budget : std::min(automatic_.error_budget, automatic_.start_budget);
  StepProblem problem{.candidates = {}, .buckets = {}, .link = link_, .error_budget = budget, .slack = slack_at(step, automatic_)};
  for (const Candidate& candidate : choices_.candidates) problem.candidates.push_back(candidate.name);
  std::vector<double> backward;
  for (const StepTimes& times : times_) backward.push_back(times.backward_seconds);
  problem.backward_seconds = median(std::move(backward));
  problem.contention = device_.kind == DeviceKind::cpu ? 1 : 0;
  for (std::size_t i = 0; i < options_.size(); ++i) {
    std::vector<double> ready;
    for (const StepTimes& times : times_) ready.push_back(times.ready_seconds[i]);
    problem.buckets.push_back({median(std::move(ready)), options_[i], current[i], weights_[i]});
    for (std::size_t c = 0; c < choices_.candidates.size(); ++c) {
      problem.buckets.back().options[c].error *= learned_.factor(i, choices_.candidates[c].codec);
    }
  }
  return problem;
}

/// Codecs that training says nothing of now are tried on the largest matrix of each bucket, the middle one of a codec's candidates for all.
void AutoPlan::try_codecs(const std::vector<int>& current) {
  if (device_.kind != DeviceKind::cpu) return;
  for (std::size_t i = 0; i < buckets_.size(); ++i) {
    if (weights_[i] == 0 || buckets_[i].dtype != DType::f32) continue;
    const auto largest = std::max_element(plan_[i].members.begin(), plan_[i].members.end(),
                                          [](const BucketMember& a, const BucketMember& b) { return a.rows * a.columns < b.rows * b.columns; });
    const TensorView matrix(static_cast<float*>(buckets_[i].data) + largest->offset, DType::f32, {largest->rows, largest->columns});
    const std::string& in_use = codec_of(current[i]);
    for (std::size_t c = 0; c < choices_.candidates.size(); ++c) {
      const Candidate& candidate = choices_.candidates[c];
      const CodecOption& option = options_[i][c];
      if (!option.admissible || option.error == 0 || c != middle_of(choices_.candidates, candidate.codec)) continue;
      if (candidate.codec == in_use && learned_.knows(i, in_use)) continue;
      const double ratio = residual_on(candidate, kernels_, allocator_, matrix);
      if (ratio > 0) learned_.try_out(i, candidate.codec, ratio / option.error);
    }
  }
}

void AutoPlan::save_state(const StateSink& put) const {
  learned_.save(put);
  std::int64_t wanted = wants_plan_ || soon_ ? 1 : 0;
  if (wanted != 0) put(kPlanWanted, TensorView(&wanted, DType::i64, {1}));
}

void AutoPlan::resume(std::int64_t step, const StateSource& get) {
  last_ = step;
  if (!automatic_.plan.empty()) return;
  // Asked for again, so that ranks which have no state of their own hear of it.
  std::int64_t wanted = 0;
  wants_plan_ = collective_.rank() == 0 && get(kPlanWanted, TensorView(&wanted, DType::i64, {1})) && wanted != 0;
  std::set<std::string> codecs;
  for (const Candidate& candidate : choices_.candidates) codecs.insert(candidate.codec);
  learned_.load(get, codecs);
}

StepPlan AutoPlan::decide(std::int64_t step, const std::vector<int>& current, Deadline deadline) {
  if (step >= link_step_ + kLinkSteps) {
    measure(deadline);
    link_step_ = step;
  }
  StepPlan plan;
  if (collective_.rank() == 0) {
    if (last_ && !times_.empty()) try_codecs(current);
    plan = plan_step(problem(step, current));
  }
  const bool by_calendar = due_by_calendar(step);
  last_ = step;
  forget_requests();
  plan.choice.resize(current.size());
  const std::vector<std::int64_t> mine(plan.choice.begin(), plan.choice.end());
  const std::vector<std::int64_t> all = gather_integers(collective_, mine, {}, deadline);
  plan.choice.assign(all.begin(), all.begin() + static_cast<std::ptrdiff_t>(current.size()));
  plan.changed = plan.choice != current;
  if (by_calendar) {
    std::vector<std::string> in_use;
    for (const int candidate : plan.choice) in_use.push_back(codec_of(candidate));
    learned_.forget_others(in_use);
  }
  times_.clear();
  return plan;
}

}  // namespace panther::comm
