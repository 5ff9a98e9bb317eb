// The planner: a pure function of measured facts, checked against hand-computed steps and against every possible choice.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <functional>

#include "comm/exchange/candidates.h"
#include "comm/exchange/planner.h"
#include "core/error.h"
#include "core/text.h"
#include "kernels/philox.h"
#include "tests/comm/exchange_world.h"

namespace panther::comm {
namespace {

using testing::catch_error;
using ::testing::HasSubstr;

CodecOption option(std::int64_t bytes, double codec_seconds, double rounds = 2, double error = 0) {
  return {.admissible = true, .bytes_sent = bytes, .rounds = rounds, .codec_seconds = codec_seconds, .error = error};
}

TEST(PredictStep, IsAPipelineOfBucketsBehindBackward) {
  StepProblem problem{.candidates = {"a"}, .link = {.latency_seconds = 0.001, .bytes_per_second = 1e6}, .backward_seconds = 0.1, .contention = 0};
  problem.buckets = {{.ready_seconds = 0.02, .options = {option(50000, 0.004)}}, {.ready_seconds = 0.1, .options = {option(20000, 0.001)}}};
  // First: 0.02 + 0.004 + 0.002 + 0.05 = 0.076, hidden. Second: 0.1 + 0.001 + 0.002 + 0.02 = 0.123.
  const StepPrediction prediction = predict_step(problem, {0, 0});
  EXPECT_NEAR(prediction.end_seconds[0], 0.076, 1e-12);
  EXPECT_NEAR(prediction.step_seconds, 0.123, 1e-12);
  EXPECT_NEAR(prediction.exposed_seconds, 0.023, 1e-12);
  EXPECT_EQ(prediction.bytes_sent, 70000);
  // On a busy CPU the first bucket's 4 ms delay backward, and with it the second bucket.
  problem.contention = 1;
  EXPECT_NEAR(predict_step(problem, {0, 0}).step_seconds, 0.127, 1e-12);
  // So do the 10 ms that its 50000 bytes cost the processor. The second begins at the end of backward and delays nothing.
  problem.link.cpu_seconds_per_byte = 2e-7;
  EXPECT_NEAR(predict_step(problem, {0, 0}).step_seconds, 0.137, 1e-12);
  // A collective that backward outlasts by half delays it by half of its computing: 0.028 of the first's 0.052 s are beside backward.
  problem.buckets.pop_back();
  problem.buckets[0].ready_seconds = 0.1 - 0.004 - 0.028;
  problem.contention = 0.5;
  EXPECT_NEAR(predict_step(problem, {0}).step_seconds - predict_step(problem, {0}).exposed_seconds, 0.1 + 0.5 * (0.004 + 0.01 * 0.028 / 0.052), 1e-12);
}

TEST(PlanStep, ExactCodecsThatHideBehindBackwardAreNotEquallyCheap) {
  StepProblem problem{.candidates = {"none", "half"}, .link = {.latency_seconds = 1e-4, .bytes_per_second = 1.25e8}, .backward_seconds = 0.25};
  problem.buckets = {{.ready_seconds = 0.05, .options = {option(13000000, 0), option(6500000, 0.002)}}};
  EXPECT_EQ(plan_step(problem).choice, std::vector<int>{0});  // 0.2 s are free behind backward, and half costs arithmetic
  problem.link.cpu_seconds_per_byte = 2e-9;
  EXPECT_EQ(plan_step(problem).choice, std::vector<int>{1});  // 26 ms of copies and sums against 15
}

TEST(PredictStep, OneThreadCarriesTheBucketsInOrder) {
  StepProblem problem{.candidates = {"a"}, .link = {.latency_seconds = 0, .bytes_per_second = 1e6}, .backward_seconds = 0.01};
  problem.buckets = {{.ready_seconds = 0.01, .options = {option(1000000, 0)}}, {.ready_seconds = 0, .options = {option(1000000, 0)}}};
  EXPECT_NEAR(predict_step(problem, {0, 0}).step_seconds, 2.01, 1e-12);
}

double uniform(std::uint64_t trial, std::uint64_t index) { return static_cast<double>(mix64(trial, index) >> 11) * 0x1p-53; }

StepProblem random_problem(std::uint64_t trial, std::size_t buckets, std::size_t candidates) {
  std::uint64_t draw = 0;
  const auto next = [&] { return uniform(trial, draw++); };
  StepProblem problem{.link = {.latency_seconds = 1e-5 * std::pow(100, next()), .bytes_per_second = 1e6 * std::pow(1e4, next())}, .contention = next() < 0.5 ? 1.0 : 0.0,
                      .error_budget = 1};
  for (std::size_t c = 0; c < candidates; ++c) problem.candidates.push_back(concat("c", c));
  double ready = 0;
  for (std::size_t i = 0; i < buckets; ++i) {
    ready += 0.02 * next();
    BucketProblem bucket{.ready_seconds = ready};
    for (std::size_t c = 0; c < candidates; ++c) {
      bucket.options.push_back(option(static_cast<std::int64_t>(1e6 * std::pow(0.1, 3 * next())), c == 0 ? 0 : 0.02 * next(), 2 + 4 * std::floor(2 * next()), c == 0 ? 0 : 1.2 * next()));
    }
    problem.buckets.push_back(bucket);
  }
  problem.backward_seconds = ready;
  return problem;
}

/// Calls `see` with the prediction of every choice within the budget.
void for_all_choices(const StepProblem& problem, const std::function<void(const StepPrediction&)>& see) {
  const std::size_t candidates = problem.candidates.size(), buckets = problem.buckets.size();
  std::size_t all = 1;
  for (std::size_t i = 0; i < buckets; ++i) all *= candidates;
  for (std::size_t code = 0; code < all; ++code) {
    std::vector<int> choice;
    bool within = true;
    for (std::size_t i = 0, rest = code; i < buckets; ++i, rest /= candidates) {
      choice.push_back(static_cast<int>(rest % candidates));
      within = within && problem.buckets[i].options[rest % candidates].error <= problem.error_budget;
    }
    if (within) see(predict_step(problem, choice));
  }
}

TEST(PlanStep, LosesLeastOfAllChoicesThatTakeAboutTheShortestStep) {
  int least_of_all = 0, fastest = 0;
  constexpr int kTrials = 400;
  for (std::uint64_t trial = 0; trial < kTrials; ++trial) {
    const StepProblem problem = random_problem(trial, 1 + trial % 4, 2 + trial % 3);
    const StepPlan plan = plan_step(problem);
    double shortest = INFINITY, least = INFINITY;
    for_all_choices(problem, [&](const StepPrediction& found) { shortest = std::min(shortest, found.step_seconds); });
    for_all_choices(problem, [&](const StepPrediction& found) {
      if (found.step_seconds <= (1 + problem.slack) * shortest) least = std::min(least, found.error);
    });
    fastest += plan.prediction.step_seconds <= (1 + problem.slack) * shortest * (1 + 1e-9) ? 1 : 0;
    EXPECT_LE(plan.prediction.step_seconds, 1.05 * (1 + problem.slack) * shortest) << trial;
    EXPECT_LE(plan.prediction.error, 1.25 * least + 0.01) << trial;
    least_of_all += plan.prediction.error <= least * (1 + 1e-9) ? 1 : 0;
    for (std::size_t i = 0; i < plan.choice.size(); ++i) {
      EXPECT_LE(problem.buckets[i].options[static_cast<std::size_t>(plan.choice[i])].error, problem.error_budget);
    }
  }
  EXPECT_GE(fastest, kTrials * 95 / 100);
  EXPECT_GE(least_of_all, kTrials * 95 / 100);
}

TEST(PlanStep, ASlowLinkCompressesAndAFastOneDoesNot) {
  StepProblem problem{.candidates = {"half", "powersgd-4"}, .backward_seconds = 0.05, .error_budget = 2};
  problem.buckets = {{.ready_seconds = 0.05, .options = {option(2000000, 0.001), option(30000, 0.008, 4, 0.6)}}};
  problem.link = {.latency_seconds = 1e-4, .bytes_per_second = 25e6 / 8};
  const StepPlan slow = plan_step(problem);
  EXPECT_EQ(slow.choice, std::vector<int>{1});
  EXPECT_THAT(slow.why[0], HasSubstr("bucket 0: powersgd-4"));
  EXPECT_THAT(slow.why[0], HasSubstr("25.0 Mb/s"));
  EXPECT_THAT(slow.why[0], HasSubstr("with half the step is"));
  problem.link.bytes_per_second = 10e9 / 8;
  EXPECT_EQ(plan_step(problem).choice, std::vector<int>{0});
}

TEST(PlanStep, ABudgetOfZeroKeepsExactCodecs) {
  StepProblem problem = random_problem(7, 4, 4);
  problem.error_budget = 0;
  EXPECT_EQ(plan_step(problem).choice, (std::vector<int>{0, 0, 0, 0}));
  problem.buckets[2].options[0].admissible = false;
  const testing::Thrown thrown = catch_error([&] { plan_step(problem); });
  EXPECT_EQ(thrown.code, ErrorCode::InvalidArgument);
  EXPECT_THAT(thrown.message, HasSubstr("bucket 2"));
}

TEST(PlanStep, SmallGainsDoNotChangeARunningPlan) {
  StepProblem problem{.candidates = {"a", "b"}, .link = {.latency_seconds = 0, .bytes_per_second = 1e6}};
  problem.buckets = {{.options = {option(100000, 0), option(95000, 0)}, .current = 0}};
  const StepPlan kept = plan_step(problem);
  EXPECT_EQ(kept.choice, std::vector<int>{0});
  EXPECT_FALSE(kept.changed);
  problem.buckets[0].options[1].bytes_sent = 80000;
  const StepPlan changed = plan_step(problem);
  EXPECT_EQ(changed.choice, std::vector<int>{1});
  EXPECT_TRUE(changed.changed);
  // A current choice that left the budget goes, whatever it gains.
  problem.buckets[0].options[1].bytes_sent = 99000;
  problem.buckets[0].options[0].error = 1;
  EXPECT_EQ(plan_step(problem).choice, std::vector<int>{1});
}

TEST(Candidates, NamesSayCodecAndSetting) {
  const Candidate quantize = candidate_of("quantize-3", {});
  EXPECT_EQ(quantize.codec, "quantize");
  EXPECT_EQ(quantize.settings.bits, 3);
  const Candidate alternating = candidate_of("powersgd-16-alternating", {});
  EXPECT_EQ(alternating.settings.rank, 16);
  EXPECT_TRUE(alternating.settings.alternating);
  EXPECT_THAT(catch_error([] { candidate_of("quantize-9", {}); }).message, HasSubstr("between 1 and 8"));
  EXPECT_TRUE(catch_error([] { candidate_of("powersdg", {}); }).any);
}

TEST(Candidates, OfSettingsAreThePinnedWordsOrTheList) {
  using Names = std::vector<std::string>;
  const auto found = [](const Names& list, const std::string& plan) {
    AutoSettings automatic;
    automatic.candidates = list;
    automatic.plan = plan;
    Names names;
    for (const Candidate& candidate : candidates_of(automatic, {})) names.push_back(candidate.name);
    return names;
  };
  EXPECT_EQ(found({"sign", "half"}, ""), (Names{"sign", "half"}));
  EXPECT_EQ(found({"none"}, "quantize-2, none,quantize-2"), (Names{"quantize-2", "none", "quantize-2"}));
  EXPECT_THAT(catch_error([&] { found({"none"}, ""); }).message, HasSubstr("must hold half"));
  EXPECT_TRUE(catch_error([&] { found({"half"}, "half,"); }).any) << "a word is missing";
  EXPECT_TRUE(catch_error([&] { found({"half", "quantize- 4"}, ""); }).any) << "a space within a name";
}

TEST(Candidates, MoreBitsAndRankAreExpectedToLoseLess) {
  double before = INFINITY;
  for (int bits = 1; bits <= 8; ++bits) {
    const double error = expected_residual(candidate_of(concat("quantize-", bits), {}));
    EXPECT_LT(error, before);
    before = error;
  }
  EXPECT_LT(expected_residual(candidate_of("powersgd-8", {})), expected_residual(candidate_of("powersgd-1", {})));
  EXPECT_EQ(expected_residual(candidate_of("none", {})), 0);
}

}  // namespace
}  // namespace panther::comm
