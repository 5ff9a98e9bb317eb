#include "comm/exchange/planner.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "core/error.h"

namespace panther::comm {
namespace {

double collective_seconds(const CodecOption& option, const LinkRate& link) {
  return option.rounds * link.latency_seconds + static_cast<double>(option.bytes_sent) / link.bytes_per_second;
}

bool allowed(const StepProblem& problem, const CodecOption& option) { return option.admissible && option.error <= problem.error_budget; }

void check(const StepProblem& problem) {
  PANTHER_REQUIRE(problem.link.bytes_per_second > 0, "a link of ", problem.link.bytes_per_second, " bytes per second carries nothing");
  PANTHER_REQUIRE(problem.error_budget >= 0, "an error budget cannot be ", problem.error_budget);
  for (std::size_t i = 0; i < problem.buckets.size(); ++i) {
    const BucketProblem& bucket = problem.buckets[i];
    PANTHER_REQUIRE(bucket.options.size() == problem.candidates.size(), "bucket ", i, " has ", bucket.options.size(), " options for ",
                    problem.candidates.size(), " candidates");
    PANTHER_REQUIRE(std::any_of(bucket.options.begin(), bucket.options.end(), [&](const CodecOption& option) { return allowed(problem, option); }), "bucket ", i,
                    " has no codec within the error budget of ", problem.error_budget, "; `none` is always within it: list it among the candidates");
  }
}

/// `wanted` where the bucket may take it, else its first candidate.
int nearest_allowed(const StepProblem& problem, const BucketProblem& bucket, std::size_t wanted) {
  if (allowed(problem, bucket.options[wanted])) return static_cast<int>(wanted);
  for (std::size_t c = 0; c < bucket.options.size(); ++c) {
    if (allowed(problem, bucket.options[c])) return static_cast<int>(c);
  }
  return 0;
}

/// Improves one bucket at a time until none improves.
void descend(const StepProblem& problem, std::vector<int>& choice) {
  double best = predict_step(problem, choice).step_seconds;
  for (bool improved = true; improved;) {
    improved = false;
    for (std::size_t i = 0; i < choice.size(); ++i) {
      for (std::size_t c = 0; c < problem.candidates.size(); ++c) {
        const int before = choice[i];
        if (static_cast<int>(c) == before || !allowed(problem, problem.buckets[i].options[c])) continue;
        choice[i] = static_cast<int>(c);
        const double seconds = predict_step(problem, choice).step_seconds;
        if (seconds < best * (1 - 1e-9)) {
          best = seconds;
          improved = true;
        } else {
          choice[i] = before;
        }
      }
    }
  }
}

std::string number(double value) {
  char text[32];
  std::snprintf(text, sizeof text, value >= 100 ? "%.0f" : value >= 1 ? "%.1f" : "%.2g", value);
  return text;
}

std::string milliseconds(double seconds) { return number(1e3 * seconds) + " ms"; }

std::string link_text(const LinkRate& link) {
  const double megabits = 8e-6 * link.bytes_per_second;
  return (megabits >= 1000 ? number(megabits / 1000) + " Gb/s" : number(megabits) + " Mb/s") + ", " + number(1e6 * link.latency_seconds) + " us";
}

/// What the choice is and what the best other candidate would cost.
std::string explain(const StepProblem& problem, const std::vector<int>& choice, std::size_t i, double step_seconds) {
  const BucketProblem& bucket = problem.buckets[i];
  const auto chosen = static_cast<std::size_t>(choice[i]);
  const CodecOption& option = bucket.options[chosen];
  std::string text = concat("bucket ", i, ": ", problem.candidates[chosen], "; ", option.bytes_sent, " bytes over ", link_text(problem.link), " take ",
                            milliseconds(collective_seconds(option, problem.link)), ", the codec ", milliseconds(option.codec_seconds));
  int rival = -1;
  double rival_seconds = 0;
  for (std::size_t c = 0; c < bucket.options.size(); ++c) {
    if (c == chosen || !allowed(problem, bucket.options[c])) continue;
    std::vector<int> other = choice;
    other[i] = static_cast<int>(c);
    const double seconds = predict_step(problem, other).step_seconds;
    if (rival < 0 || seconds < rival_seconds) rival = static_cast<int>(c), rival_seconds = seconds;
  }
  if (rival < 0) return text + "; nothing else is within the error budget";
  const double slower = rival_seconds / step_seconds;
  const std::string& name = problem.candidates[static_cast<std::size_t>(rival)];
  return slower >= 1.005 ? text + concat("; with ", name, " the step is ", number(slower), " times as long") : text + concat("; ", name, " is as fast");
}

}  // namespace

StepPrediction predict_step(const StepProblem& problem, const std::vector<int>& choice) {
  StepPrediction result;
  double end = 0, delay = 0;  // delay: of backward, by codecs that ran before its end
  for (std::size_t i = 0; i < problem.buckets.size(); ++i) {
    const BucketProblem& bucket = problem.buckets[i];
    const CodecOption& option = bucket.options[static_cast<std::size_t>(choice[i])];
    const double start = std::max(bucket.ready_seconds + delay, end);
    const double beside = std::clamp(problem.backward_seconds + delay - start, 0.0, option.codec_seconds);
    delay += problem.contention * beside;
    end = start + option.codec_seconds + collective_seconds(option, problem.link);
    result.end_seconds.push_back(end);
    result.bytes_sent += option.bytes_sent;
  }
  const double backward = problem.backward_seconds + delay;
  result.step_seconds = std::max(backward, end);
  result.exposed_seconds = std::max(0.0, end - backward);
  return result;
}

StepPlan plan_step(const StepProblem& problem) {
  check(problem);
  StepPlan plan;
  double best = 0;
  for (std::size_t c = 0; c < problem.candidates.size(); ++c) {
    std::vector<int> choice;
    for (const BucketProblem& bucket : problem.buckets) choice.push_back(nearest_allowed(problem, bucket, c));
    descend(problem, choice);
    const double seconds = predict_step(problem, choice).step_seconds;
    if (plan.choice.empty() || seconds < best * (1 - 1e-9)) {
      best = seconds;
      plan.choice = choice;
    }
  }
  std::vector<int> current;
  for (const BucketProblem& bucket : problem.buckets) {
    if (bucket.current >= 0 && allowed(problem, bucket.options[static_cast<std::size_t>(bucket.current)])) current.push_back(bucket.current);
  }
  if (current.size() == problem.buckets.size() && best > (1 - problem.hysteresis) * predict_step(problem, current).step_seconds) plan.choice = current;
  plan.prediction = predict_step(problem, plan.choice);
  for (std::size_t i = 0; i < plan.choice.size(); ++i) {
    plan.why.push_back(explain(problem, plan.choice, i, plan.prediction.step_seconds));
    plan.changed = plan.changed || plan.choice[i] != problem.buckets[i].current;
  }
  return plan;
}

}  // namespace panther::comm
