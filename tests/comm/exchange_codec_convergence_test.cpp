// Training through every codec reaches the optimum: a quadratic with a known one, gradients that differ between ranks.
//
// Rank w holds f_w(x) = 1/2 sum_i h_i (x_i - t_wi)^2 with h in [1/2, 1]; the mean over ranks is least at x* = mean_w t_w. With error
// feedback the shifted iterate y_t = x_t - eta mean_w e_w takes exact gradient steps, y_{t+1} - x* = (1 - eta h)(y_t - x*) - eta^2 h
// mean e, so ||x_T - x*|| <= (1 - eta / 2)^T ||x_0 - x*|| + eta max_t ||mean e_t|| (1 + max h / min h): measured residuals bound the
// distance, whatever the compressor.
#include <gtest/gtest.h>

#include <cmath>
#include <utility>

#include "kernels/pack/pack_kernels.h"
#include "tests/comm/codec_world.h"

namespace panther::comm {
namespace {

using namespace testing;  // NOLINT: the test's own vocabulary

constexpr std::int64_t kRows = 24, kColumns = 40, kCount = kRows * kColumns, kVector = 10;
constexpr double kEta = 0.02;
constexpr int kSteps = 1000;

double curvature(std::int64_t i) { return 0.5 + 0.5 * static_cast<double>(i % 17) / 16; }
double target(int rank, std::int64_t i) { return static_cast<double>(normal_value(99, 0, 0, i)) + 0.1 * static_cast<double>(normal_value(rank, 1, 0, i)); }

double distance(const std::vector<double>& x, int ranks) {
  double squared = 0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    double optimum = 0;
    for (int rank = 0; rank < ranks; ++rank) optimum += target(rank, static_cast<std::int64_t>(i)) / ranks;
    squared += std::pow(x[i] - optimum, 2);
  }
  return std::sqrt(squared);
}

struct Training {
  double start = 0;
  double end = 0;
  double residual = 0;  ///< largest ||mean_w e_w|| seen every 20 steps
};

Training train(const std::string& codec, const CodecSettings& settings, int ranks) {
  Training run;
  PerRank<std::vector<std::vector<float>>> residuals(ranks);
  PerRank<std::vector<double>> ends(ranks);
  run_ranks(ranks, [&](Collective& collective) {
    RankExchange world(collective, {matrix("w", kRows, kColumns), vector("b", kVector)},
                       {.codec = codec, .bucket_bytes = 1, .first_bucket_bytes = 1, .settings = settings});
    std::vector<double> x(kCount + kVector, 0.0);
    std::vector<std::vector<float>> seen;
    for (int s = 0; s < kSteps; ++s) {
      const ExchangeReport report = step(world, collective.rank(), s, [&](int rank, std::int64_t, std::int64_t slot, std::int64_t i) {
        const std::int64_t at = slot * kCount + i;
        return curvature(at) * (x[static_cast<std::size_t>(at)] - target(rank, at));
      });
      EXPECT_FALSE(report.control.nonfinite);
      const auto gradients = contents(world);
      for (std::size_t i = 0; i < x.size(); ++i) {
        x[i] -= kEta / ranks * (i < kCount ? gradients[0][i] : gradients[1][i - kCount]);
      }
      if (s % 20 == 19) seen.push_back(residual_of(save(*world.exchange), "w", kCount));
    }
    residuals.set(collective.rank(), seen);
    ends.set(collective.rank(), x);
  });
  for (int rank = 1; rank < ranks; ++rank) EXPECT_EQ(ends[rank], ends[0]) << "replicas parted";
  run.start = distance(std::vector<double>(kCount + kVector, 0.0), ranks);
  run.end = distance(ends[0], ranks);
  for (std::size_t k = 0; k < residuals[0].size(); ++k) {
    double squared = 0;
    for (std::size_t i = 0; i < kCount; ++i) {
      double mean = 0;
      for (int rank = 0; rank < ranks; ++rank) mean += static_cast<double>(residuals[rank][k][i]) / ranks;
      squared += mean * mean;
    }
    run.residual = std::max(run.residual, std::sqrt(squared));
  }
  return run;
}

class CodecConvergence : public ::testing::TestWithParam<std::string> {};

TEST_P(CodecConvergence, ReachesTheOptimum) {
  std::vector<CodecSettings> all{{.rank = 2, .density = 0.05, .min_numel = 0}};
  if (GetParam() == "powersgd") all.push_back({.rank = 2, .alternating = true, .min_numel = 0});
  if (GetParam() == "count_sketch") all = {{.density = 0.05, .sketch_rows = 1, .sketch_columns = 8, .min_numel = 0}};
  if (GetParam() == "sign") all.push_back({.momentum = 0.9, .min_numel = 0});
  if (GetParam() == "quantize") all.push_back({.bits = 1, .block = 64, .min_numel = 0});
  for (const CodecSettings& settings : all) {
    for (const int ranks : {2, 3}) {
      const Training run = train(GetParam(), settings, ranks);
      const double rounding = GetParam() == "half" ? 0x1p-7 : 1e-5;  // of the gradients at the optimum, relative to their norm
      const double bound = std::pow(1 - kEta / 2, kSteps) * run.start + kEta * 3 * run.residual + rounding * run.start;
      EXPECT_LE(run.end, bound) << ranks << " ranks";
      EXPECT_LE(run.end, 0.05 * run.start) << ranks << " ranks";
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Registry, CodecConvergence, ::testing::ValuesIn(codec_registry().names()), [](const auto& test) { return test.param; });

/// Without error feedback a biased compressor stops where the ranks' compressed gradients cancel, which is not the optimum.
TEST(CodecConvergenceTest, SignsWithoutFeedbackDoNot) {
  const Training with = train("sign", {.min_numel = 0}, 2);
  const Training without = train("sign", {.error_feedback = false, .min_numel = 0}, 2);
  EXPECT_GT(without.end, 2 * with.end);
}

/// Two ranks train through one fixed sketch that chooses k elements of the error so far.
///
/// FetchSGD (arXiv 2007.07682, algorithm 1) keeps that error in sketch space, sends what it *estimated* and subtracts the sketch of that:
/// the noise of the estimates comes back as error, and on a flat spectrum it grows without bound. With `exact` the error itself is kept, and
/// the chosen values are what is sent and subtracted: the same cells, estimates and choices otherwise.
double train_through_a_sketch(std::int64_t columns, std::int64_t k, bool exact) {
  const PackKernels& kernels = pack_kernels(DeviceKind::cpu);
  const CountSketch sketch{.rows = 3, .columns = columns, .key = 1};
  std::vector<float> x(kCount, 0.0f), gradient(kCount), spare(kCount), estimates(kCount), values(static_cast<std::size_t>(k)), error(kCount, 0.0f);
  std::vector<float> cells(static_cast<std::size_t>(3 * columns)), cells_of_error(cells), update(cells);
  std::vector<std::uint32_t> chosen(static_cast<std::size_t>(k)), scratch(kTopKScratch);
  const auto insert = [&](const std::vector<float>& of, std::vector<float>& into) {
    kernels.count_sketch_insert({.sketch = sketch, .gradient = of.data(), .sum = spare.data(), .count = kCount, .cells = into.data()}, {});
  };
  for (int s = 0; s < kSteps; ++s) {
    for (std::int64_t i = 0; i < kCount; ++i) {
      const auto at = static_cast<std::size_t>(i);
      double mean = 0;
      for (int rank = 0; rank < 2; ++rank) mean += 0.5 * curvature(i) * (static_cast<double>(x[at]) - target(rank, i));
      gradient[at] = static_cast<float>(kEta * mean);
      error[at] += gradient[at];
    }
    insert(exact ? error : gradient, cells);
    if (exact) cells_of_error = cells;
    else for (std::size_t j = 0; j < cells.size(); ++j) cells_of_error[j] += cells[j];
    kernels.count_sketch_estimate(sketch, cells_of_error.data(), kCount, estimates.data(), {});
    kernels.top_k({.gradient = estimates.data(), .next = spare.data(), .count = kCount, .k = k, .indices = chosen.data(), .values = values.data(), .scratch = scratch.data()}, {});
    std::vector<float> sent(kCount, 0.0f);
    for (std::size_t j = 0; j < chosen.size(); ++j) sent[chosen[j]] = exact ? std::exchange(error[chosen[j]], 0.0f) : values[j];
    insert(sent, update);
    if (!exact) for (std::size_t j = 0; j < cells.size(); ++j) cells_of_error[j] -= update[j];
    for (std::size_t i = 0; i < x.size(); ++i) x[i] -= sent[i];
  }
  return distance(std::vector<double>(x.begin(), x.end()), 2);
}

TEST(CodecConvergenceTest, SubtractingEstimatesDivergesAndExactValuesDoNot) {
  const double start = distance(std::vector<double>(kCount, 0.0), 2);
  const double estimated = train_through_a_sketch(192, 48, false);
  EXPECT_TRUE(!std::isfinite(estimated) || estimated > 10 * start) << estimated;
  EXPECT_LT(train_through_a_sketch(192, 48, true), 0.05 * start) << "no gate helps here: every step sends what the sketch chose";
  const Training ours = train("count_sketch", {.density = 0.05, .sketch_rows = 3, .sketch_columns = 4, .min_numel = 0}, 2);
  EXPECT_LT(ours.end, 0.05 * ours.start);
}

}  // namespace
}  // namespace panther::comm
