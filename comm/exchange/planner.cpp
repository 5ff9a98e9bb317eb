#include "comm/exchange/planner.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <utility>

#include "core/error.h"

namespace panther::comm {
namespace {

double collective_seconds(const CodecOption& option, const LinkRate& link) {
  return option.rounds * link.latency_seconds + static_cast<double>(option.bytes_sent) / link.bytes_per_second;
}

/// Of the collective's seconds, those in which this process computes.
double sending_seconds(const CodecOption& option, const LinkRate& link) {
  return std::min(collective_seconds(option, link), static_cast<double>(option.bytes_sent) * link.cpu_seconds_per_byte);
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

/// Weighted mean of the buckets' errors.
double error_of(const StepProblem& problem, const std::vector<int>& choice) {
  double error = 0, weight = 0;
  for (std::size_t i = 0; i < choice.size(); ++i) {
    error += problem.buckets[i].weight * problem.buckets[i].options[static_cast<std::size_t>(choice[i])].error;
    weight += problem.buckets[i].weight;
  }
  return weight > 0 ? error / weight : 0;
}

/// How long the thread and the link are taken by an option.
double taken_seconds(const StepProblem& problem, const CodecOption& option) { return option.codec_seconds + collective_seconds(option, problem.link); }

/// One bucket after another changes to a smaller error, those first that need the least time of thread and link for it, while the step takes at most `limit`.
void refine(const StepProblem& problem, double limit, std::vector<int>& choice) {
  for (;;) {
    std::size_t bucket = 0;
    int better = -1;
    double best = 0;
    for (std::size_t i = 0; i < choice.size(); ++i) {
      const std::vector<CodecOption>& options = problem.buckets[i].options;
      const int before = choice[i];
      const CodecOption& now = options[static_cast<std::size_t>(before)];
      for (std::size_t c = 0; c < options.size(); ++c) {
        const double gained = problem.buckets[i].weight * (now.error - options[c].error);
        if (!(gained > 0) || !allowed(problem, options[c])) continue;
        const double worth = gained / std::max(taken_seconds(problem, options[c]) - taken_seconds(problem, now), 1e-12);
        choice[i] = static_cast<int>(c);
        if (worth > best * (1 + 1e-9) && predict_step(problem, choice).step_seconds <= limit) best = worth, bucket = i, better = static_cast<int>(c);
      }
      choice[i] = before;
    }
    if (better < 0) return;
    choice[bucket] = better;
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

/// The candidate other than the chosen one that makes the shortest step of those that `may`, with that step; -1: none may.
template <class May>
std::pair<int, double> shortest_other(const StepProblem& problem, std::vector<int> choice, std::size_t i, const May& may) {
  const int chosen = choice[i];
  std::pair<int, double> best{-1, INFINITY};
  for (std::size_t c = 0; c < problem.candidates.size(); ++c) {
    choice[i] = static_cast<int>(c);
    if (choice[i] == chosen || !may(problem.buckets[i].options[c])) continue;
    const double seconds = predict_step(problem, choice).step_seconds;
    if (seconds < best.second) best = {static_cast<int>(c), seconds};
  }
  return best;
}

/// What the choice is, what a choice that loses less would cost and what a shorter step would lose.
std::string explain(const StepProblem& problem, const std::vector<int>& choice, std::size_t i, double step_seconds) {
  const auto chosen = static_cast<std::size_t>(choice[i]);
  const CodecOption& option = problem.buckets[i].options[chosen];
  const auto name = [&](int candidate) { return problem.candidates[static_cast<std::size_t>(candidate)]; };
  std::string text = concat("bucket ", i, ": ", problem.candidates[chosen], "; ", option.bytes_sent, " bytes over ", link_text(problem.link), " take ",
                            milliseconds(collective_seconds(option, problem.link)), ", the codec ", milliseconds(option.codec_seconds));
  if (option.error > 0) text += concat(", ", number(option.error), " gradients wait");
  std::pair<int, double> rival = shortest_other(problem, choice, i, [&](const CodecOption& other) { return allowed(problem, other) && other.error < option.error; });
  if (rival.first < 0) rival = shortest_other(problem, choice, i, [&](const CodecOption& other) { return allowed(problem, other); });
  if (rival.first < 0) text += "; nothing else is within the error budget";
  else if (rival.second >= 1.005 * step_seconds) text += concat("; with ", name(rival.first), " the step is ", number(rival.second / step_seconds), " times as long");
  else text += concat("; ", name(rival.first), " is as fast");
  const std::pair<int, double> refused =
      shortest_other(problem, choice, i, [&](const CodecOption& other) { return other.admissible && other.error > problem.error_budget; });
  if (refused.first >= 0 && refused.second < 0.9 * step_seconds) {
    const double error = problem.buckets[i].options[static_cast<std::size_t>(refused.first)].error;
    text += concat("; ", name(refused.first), " is faster and beyond the error budget: ", number(error), " of ", number(problem.error_budget));
  }
  return text;
}

/// Errors first, then seconds; what differs by rounding alone is equal.
bool is_better(const StepPrediction& a, const StepPrediction& b) {
  const auto less = [](double x, double y) { return x < y * (1 - 1e-9); };
  return less(a.error, b.error) || (!less(b.error, a.error) && less(a.step_seconds, b.step_seconds));
}

/// True when the choice in use is within the budget and not worth changing.
bool stays(const StepProblem& problem, double shortest, double least_error) {
  std::vector<int> current;
  for (const BucketProblem& bucket : problem.buckets) {
    if (bucket.current < 0 || !allowed(problem, bucket.options[static_cast<std::size_t>(bucket.current)])) return false;
    current.push_back(bucket.current);
  }
  const StepPrediction now = predict_step(problem, current);
  return (1 - problem.hysteresis) * now.step_seconds < shortest && (1 - problem.hysteresis) * now.error <= least_error;
}

}  // namespace

StepPrediction predict_step(const StepProblem& problem, const std::vector<int>& choice) {
  StepPrediction result;
  double end = 0, delay = 0;  // delay: of backward, by what was computed beside it
  for (std::size_t i = 0; i < problem.buckets.size(); ++i) {
    const BucketProblem& bucket = problem.buckets[i];
    const CodecOption& option = bucket.options[static_cast<std::size_t>(choice[i])];
    const double start = std::max(bucket.ready_seconds + delay, end);
    const double collective = collective_seconds(option, problem.link), left = problem.backward_seconds + delay - start;
    const double beside = std::clamp(left, 0.0, option.codec_seconds), shared = std::clamp(left - option.codec_seconds, 0.0, collective);
    delay += problem.contention * (beside + (collective > 0 ? sending_seconds(option, problem.link) * shared / collective : 0));
    end = start + option.codec_seconds + collective;
    result.end_seconds.push_back(end);
    result.bytes_sent += option.bytes_sent;
  }
  const double backward = problem.backward_seconds + delay;
  result.step_seconds = std::max(backward, end);
  result.error = error_of(problem, choice);
  result.exposed_seconds = std::max(0.0, end - backward);
  return result;
}

StepPlan plan_step(const StepProblem& problem) {
  check(problem);
  std::vector<std::vector<int>> choices;
  double shortest = INFINITY;
  for (std::size_t c = 0; c < problem.candidates.size(); ++c) {
    std::vector<int> choice;
    for (const BucketProblem& bucket : problem.buckets) choice.push_back(nearest_allowed(problem, bucket, c));
    choices.push_back(choice);
    descend(problem, choice);
    shortest = std::min(shortest, predict_step(problem, choice).step_seconds);
    choices.push_back(choice);
  }
  const double limit = (1 + problem.slack) * shortest;
  StepPlan plan;
  for (std::vector<int>& choice : choices) {
    if (predict_step(problem, choice).step_seconds > limit) continue;
    refine(problem, limit, choice);
    const StepPrediction found = predict_step(problem, choice);
    if (plan.choice.empty() || is_better(found, plan.prediction)) {
      plan.choice = choice;
      plan.prediction = found;
    }
  }
  if (stays(problem, shortest, plan.prediction.error)) {
    for (std::size_t i = 0; i < plan.choice.size(); ++i) plan.choice[i] = problem.buckets[i].current;
    plan.prediction = predict_step(problem, plan.choice);
  }
  for (std::size_t i = 0; i < plan.choice.size(); ++i) {
    plan.why.push_back(explain(problem, plan.choice, i, plan.prediction.step_seconds));
    plan.changed = plan.changed || plan.choice[i] != problem.buckets[i].current;
  }
  return plan;
}

}  // namespace panther::comm
