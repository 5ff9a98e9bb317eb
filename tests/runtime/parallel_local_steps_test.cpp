// Ranks as threads that train alone between exchanges, against the same done by hand in f64.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <ATen/Parallel.h>

#include <mutex>

#include "runtime/optim/parameter_average.h"
#include "runtime/parallel/local_steps.h"
#include "runtime/parallel/codec_resize.h"
#include "tests/runtime/parallel_fixture.h"

namespace panther::runtime {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::catch_error;
using testing::relative_error;
using testing::small_buckets;
using testing::Thrown;

LocalConfig local(std::int64_t every, std::int64_t fragments = 1, std::int64_t delay = 0) {
  LocalConfig config;
  config.every = every;
  config.fragments = fragments;
  config.delay = delay;
  return config;
}

TEST(LocalSchedule, EveryFragmentTravelsOnceInEveryPeriod) {
  for (const auto& [every, fragments, delay] : {std::array<std::int64_t, 3>{1, 1, 0}, {12, 1, 0}, {12, 1, 11}, {12, 3, 2}, {12, 12, 0}}) {
    const LocalSchedule schedule(local(every, fragments, delay), 1000);
    for (std::int64_t period = 0; period < 5; ++period) {
      std::vector<int> left(static_cast<std::size_t>(fragments), 0);
      for (std::int64_t done = period * every + 1; done <= (period + 1) * every; ++done) {
        if (schedule.leaves(done) >= 0) ++left[static_cast<std::size_t>(schedule.leaves(done))];
      }
      EXPECT_THAT(left, ::testing::Each(1)) << every << " " << fragments;
    }
    std::int64_t travelling = -1;
    for (std::int64_t done = 0; done < 1000; ++done) {
      if (schedule.arrives(done) >= 0) {
        EXPECT_TRUE(delay == 0 || travelling == schedule.arrives(done));
        travelling = -1;
      }
      if (schedule.leaves(done) >= 0) {
        EXPECT_EQ(travelling, -1) << "one at a time";
        travelling = schedule.leaves(done);
      }
    }
    EXPECT_EQ(schedule.leaves(0), -1);
    EXPECT_TRUE(schedule.all(1000));
  }
}

TEST(LocalSchedule, RefusesWhatDoesNotFit) {
  const Thrown uneven = catch_error([] { LocalSchedule(local(10, 3), 100); });
  EXPECT_EQ(uneven.code, ErrorCode::InvalidArgument);
  EXPECT_THAT(uneven.message, HasSubstr("comm.local.every = 10 is not a multiple of comm.local.fragments = 3"));
  EXPECT_THAT(catch_error([] { LocalSchedule(local(10, 5, 2), 100); }).message, HasSubstr("choose a delay below 2"));
}

TEST(LocalSchedule, FragmentsAreNeighboursOfAboutEqualSize) {
  EXPECT_THAT(fragments_of({1, 1, 1, 1, 1, 1}, 3), ElementsAre(0, 0, 1, 1, 2, 2));
  EXPECT_THAT(fragments_of({100, 1, 1}, 3), ElementsAre(0, 1, 2));
  EXPECT_THAT(fragments_of({1, 1, 100}, 3), ElementsAre(0, 1, 2));
  EXPECT_THAT(fragments_of({50, 1, 49, 30, 20}, 2), ElementsAre(0, 0, 1, 1, 1));
  EXPECT_THAT(catch_error([] { fragments_of({1, 2}, 3); }).message, HasSubstr("choose a smaller number"));
  for (std::int64_t fragments = 1; fragments <= 40; ++fragments) {
    std::vector<std::int64_t> sizes;
    for (std::int64_t i = 0; i < 40; ++i) sizes.push_back(1 + (i * 7919) % 1000);
    const std::vector<std::int64_t> result = fragments_of(sizes, fragments);
    EXPECT_EQ(result.front(), 0);
    EXPECT_EQ(result.back(), fragments - 1);
    for (std::size_t i = 1; i < result.size(); ++i) EXPECT_TRUE(result[i] == result[i - 1] || result[i] == result[i - 1] + 1);
  }
}

class LocalStepsTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() { at::set_num_threads(1); }
};

/// Two parameters; rank r moves each by a known amount at each step.
struct Walker {
  Walker() : parameters{{"a", at::full({3, 2}, 1.0, at::kDouble).set_requires_grad(true)}, {"b", at::full({5}, -2.0, at::kDouble).set_requires_grad(true)}} {}
  static double move(int rank, std::int64_t step, std::size_t slot) { return 0.01 * (rank + 1) * (1 + 0.3 * static_cast<double>(step % 4)) * (slot == 0 ? 1 : -2); }
  void step(int rank, std::int64_t step) {
    const at::NoGradGuard no_grad;
    for (std::size_t slot = 0; slot < parameters.size(); ++slot) parameters[slot].tensor.sub_(move(rank, step, slot));
  }
  std::vector<ParameterInfo> parameters;
};

/// The same by hand: own values by rank, the common one, the velocity.
struct ByHand {
  ByHand(const LocalConfig& settings, int ranks, double start) : config(settings), own(static_cast<std::size_t>(ranks), start), common(start) {}
  double mean_move() const {
    double sum = 0;
    for (const double value : own) sum += (common - value) / static_cast<double>(own.size());
    return sum;
  }
  void arrive(double move) {
    velocity = config.outer_momentum * velocity + move;
    common -= config.outer_lr * (move + config.outer_momentum * velocity);
    for (double& value : own) value = config.keep_local * value + (1 - config.keep_local) * common;
  }
  LocalConfig config;
  std::vector<double> own;
  double common, velocity = 0;
};

TEST_F(LocalStepsTest, TakesTheStepsOfTheReference) {
  constexpr std::int64_t kSteps = 23;
  LocalConfig late = local(6, 2, 2);
  late.keep_local = 0.5;
  for (const LocalConfig& settings : {local(4), local(6, 2), late}) {
    for (const int ranks : {1, 2, 3}) {
      std::vector<ByHand> expected;
      for (const double start : {1.0, -2.0}) expected.emplace_back(settings, ranks, start);
      const LocalSchedule schedule(settings, kSteps);
      std::vector<double> leaving(2, 0);
      // With two fragments each parameter is one; with one they travel together.
      const auto members = [&](std::int64_t fragment) { return settings.fragments == 2 ? std::vector<std::size_t>{static_cast<std::size_t>(fragment)} : std::vector<std::size_t>{0, 1}; };
      std::vector<std::vector<double>> trail;  // common values after each step
      for (std::int64_t done = 0; done < kSteps; ++done) {
        if (settings.delay > 0 && schedule.leaves(done) >= 0) {
          for (const std::size_t slot : members(schedule.leaves(done))) leaving[slot] = expected[slot].mean_move();
        }
        for (std::size_t slot = 0; slot < 2; ++slot) {
          for (int rank = 0; rank < ranks; ++rank) expected[slot].own[static_cast<std::size_t>(rank)] -= Walker::move(rank, done, slot);
        }
        if (schedule.arrives(done + 1) >= 0) {
          for (const std::size_t slot : members(schedule.arrives(done + 1))) expected[slot].arrive(settings.delay > 0 ? leaving[slot] : expected[slot].mean_move());
        }
        if (done + 1 == kSteps) {
          for (ByHand& value : expected) value.arrive(value.mean_move());
        }
        trail.push_back({expected[0].common, expected[1].common});
      }
      comm::run_ranks_as_threads(ranks, [&](comm::Collective& collective) {
        Walker walker;
        CommConfig config = small_buckets();
        config.local = settings;
        LocalSteps steps(walker.parameters, collective, config, kSteps);
        for (std::int64_t done = 0; done < kSteps; ++done) {
          steps.before_step(done);
          walker.step(collective.rank(), done);
          steps.observe({}, 1.0 + collective.rank());
          const auto report = steps.after_step(done + 1);
          EXPECT_EQ(report.has_value(), schedule.arrives(done + 1) >= 0 || done + 1 == kSteps);
          if (report) {
            EXPECT_NEAR(report->loss_sum, ranks * (ranks + 1) / 2.0, 1e-12);
          }
          for (std::size_t slot = 0; slot < 2; ++slot) {
            EXPECT_NEAR(steps.common()[slot].flatten()[0].item<double>(), trail[static_cast<std::size_t>(done)][slot], 1e-12) << "step " << done;
          }
        }
        for (std::size_t slot = 0; slot < 2; ++slot) {
          EXPECT_NEAR(walker.parameters[slot].tensor.flatten()[1].item<double>(), expected[slot].own[static_cast<std::size_t>(collective.rank())], 1e-12);
        }
      });
    }
  }
}

TEST_F(LocalStepsTest, WithoutMomentumParametersAreAveraged) {
  constexpr int kRanks = 4;
  std::mutex mutex;
  std::vector<at::Tensor> moved(kRanks), averaged(kRanks);
  comm::run_ranks_as_threads(kRanks, [&](comm::Collective& collective) {
    testing::Net net;
    CommConfig config = small_buckets();
    config.local = local(1);
    config.local.outer_lr = 1;
    config.local.outer_momentum = 0;
    LocalSteps steps(net.parameters, collective, config, 100);
    {
      const at::NoGradGuard no_grad;
      for (ParameterInfo& parameter : net.parameters) parameter.tensor.add_(at::randn_like(parameter.tensor), collective.rank());
    }
    const at::Tensor before = net[2].detach().clone();
    steps.after_step(1);
    const std::lock_guard lock(mutex);
    moved[static_cast<std::size_t>(collective.rank())] = before;
    averaged[static_cast<std::size_t>(collective.rank())] = net[2].detach().clone();
  });
  const at::Tensor mean = at::stack(moved).mean(0);
  for (const at::Tensor& value : averaged) {
    EXPECT_LT(relative_error(value, mean), 1e-15 * 8);
    EXPECT_TRUE(at::equal(value, averaged[0])) << "the same bits on every rank";
  }
}

TEST_F(LocalStepsTest, AMoveThatIsNotFiniteIsAppliedNowhere) {
  comm::run_ranks_as_threads(2, [&](comm::Collective& collective) {
    Walker walker;
    CommConfig config = small_buckets();
    config.local = local(1);
    LocalSteps steps(walker.parameters, collective, config, 100);
    if (collective.rank() == 1) {
      const at::NoGradGuard no_grad;
      walker.parameters[0].tensor[1][1] = std::numeric_limits<double>::quiet_NaN();
    }
    const auto report = steps.after_step(1);
    ASSERT_TRUE(report.has_value());
    EXPECT_TRUE(report->control.nonfinite);
    EXPECT_EQ(steps.common()[0].sum().item<double>(), 6.0);
    EXPECT_EQ(steps.common()[1].sum().item<double>(), -10.0);
  });
}

TEST_F(LocalStepsTest, WishesWaitForTheNextExchange) {
  comm::run_ranks_as_threads(2, [&](comm::Collective& collective) {
    Walker walker;
    CommConfig config = small_buckets();
    config.local = local(3);
    LocalSteps steps(walker.parameters, collective, config, 100);
    for (std::int64_t done = 1; done <= 6; ++done) {
      steps.observe({.stop = false, .checkpoint = collective.rank() == 1 && done == 2, .nonfinite = false}, 0);
      const auto report = steps.after_step(done);
      if (report) {
        EXPECT_EQ(report->control.checkpoint, done == 3) << "asked for once";
      }
    }
  });
}

TEST_F(LocalStepsTest, GoesOnFromItsStateWithTheSameBits) {
  constexpr std::int64_t kSteps = 30, kCut = 12;
  LocalConfig settings = local(6, 2, 1);
  settings.keep_local = 0.25;
  std::mutex mutex;
  for (const char* codec : {"none", "top_k"}) {
    std::vector<at::Tensor> whole(2), resumed(2);
    comm::run_ranks_as_threads(2, [&](comm::Collective& collective) {
      CommConfig config = small_buckets(codec);
      config.local = settings;
      config.codec.min_numel = 1;
      config.codec.density = 0.3;
      Walker walker;
      auto steps = std::make_unique<LocalSteps>(walker.parameters, collective, config, kSteps);
      NamedTensors state;
      std::vector<at::Tensor> common;
      for (std::int64_t done = 0; done < kSteps; ++done) {
        if (done == kCut) {
          state = steps->state();
          for (const at::Tensor& tensor : steps->common()) common.push_back(tensor.clone());
        }
        steps->before_step(done);
        walker.step(collective.rank(), done);
        steps->after_step(done + 1);
      }
      const at::Tensor last = walker.parameters[0].tensor.detach().clone();
      steps.reset();
      Walker again;
      {
        const at::NoGradGuard no_grad;
        for (std::size_t slot = 0; slot < 2; ++slot) again.parameters[slot].tensor.copy_(common[slot]);
      }
      LocalSteps rest(again.parameters, collective, config, kSteps);
      rest.load_state({state.begin(), state.end()});
      for (std::int64_t done = kCut; done < kSteps; ++done) {
        rest.before_step(done);
        again.step(collective.rank(), done);
        rest.after_step(done + 1);
      }
      const std::lock_guard lock(mutex);
      whole[static_cast<std::size_t>(collective.rank())] = last;
      resumed[static_cast<std::size_t>(collective.rank())] = again.parameters[0].tensor.detach().clone();
    });
    for (std::size_t rank = 0; rank < 2; ++rank) EXPECT_TRUE(at::equal(whole[rank], resumed[rank])) << codec << ", rank " << rank;
  }
}

TEST_F(LocalStepsTest, AnotherNumberOfRanksStartsFromTheCommonParameters) {
  const std::map<std::string, at::Tensor> rank0{{"own/a", at::ones({2})}, {"velocity/a", at::full({2}, 3.0)}};
  const std::map<std::string, at::Tensor> rank1{{"own/a", at::zeros({2})}, {"velocity/a", at::full({2}, 3.0)}};
  const auto state = resized_codec_state({rank0, rank1}, 3);
  EXPECT_EQ(state.count("own/a"), 0u);
  EXPECT_EQ(state.at("velocity/a").sum().item<double>(), 6.0);
}

TEST(ParameterAverage, IsTheWeightedSumOfAllValues) {
  const at::Tensor parameter = at::full({2}, 5.0, at::kDouble).set_requires_grad(true);
  ParameterAverage average({{"p", parameter}}, 0.9);
  // 1/10, 2/11, 3/12 ... until 0.9.
  EXPECT_DOUBLE_EQ(average_decay(0.9, 0), 0.1);
  EXPECT_DOUBLE_EQ(average_decay(0.9, 2), 0.25);
  EXPECT_DOUBLE_EQ(average_decay(0.9, 1000), 0.9);
  double expected = 5;
  for (std::int64_t n = 0; n < 100; ++n) {
    const double value = 0.1 * static_cast<double>(n * n % 17);
    average.update({at::full({2}, value, at::kDouble)}, n);
    const double d = std::min(0.9, (1.0 + static_cast<double>(n)) / (10.0 + static_cast<double>(n)));
    expected = d * expected + (1 - d) * value;
    EXPECT_NEAR(average.values()[0][1].item<double>(), expected, 1e-12);
  }
  EXPECT_EQ(average.state().front().first, "p");
}

}  // namespace
}  // namespace panther::runtime
