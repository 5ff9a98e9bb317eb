// comm.exchange = "auto": it compresses where a link is slow, all ranks switch together, and nothing is lost on the way.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "comm/exchange/auto_plan.h"
#include "comm/exchange/measure.h"
#include "tests/comm/codec_world.h"
#include "tests/comm/slow_link.h"

namespace panther::comm::testing {
namespace {

using ::testing::Each;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr double kSlow = 4e6, kFast = 1e12;  // bytes per second

ExchangeConfig automatic() {
  ExchangeConfig config{.codec = "auto", .bucket_bytes = 64 << 10, .first_bucket_bytes = 32 << 10};
  config.automatic.first_plan = 3;
  config.automatic.replan_every = 1000;
  return config;
}

std::vector<GradientSlot> gradients() { return {matrix("a", 96, 128), vector("b", 100), matrix("c", 64, 200), matrix("d", 128, 128), vector("e", 64)}; }

double normal(int rank, std::int64_t step, std::int64_t slot, std::int64_t i) { return normal_value(rank, step, slot, i); }

std::vector<std::string> codecs_in(const ExchangeReport& report) {
  std::vector<std::string> names;
  for (const BucketReport& bucket : report.buckets) names.push_back(bucket.codec);
  return names;
}

TEST(MeasureLink, FindsTheRateOnEveryRank) {
  PerRank<LinkRate> found(3);
  run_ranks_as_threads(3, [&](Collective& group) {
    SlowLink link(group, kSlow);
    found.set(group.rank(), measure_link(link, plain_allocator(), {}, Deadline::after(60s)));
  });
  for (int rank = 0; rank < 3; ++rank) {
    EXPECT_EQ(found[rank].bytes_per_second, found[0].bytes_per_second);
    EXPECT_GT(found[rank].bytes_per_second, 0.5 * kSlow);  // a busy machine sleeps too long, never too short
    EXPECT_LT(found[rank].bytes_per_second, 1.3 * kSlow);
  }
}

TEST(ResidualOn, IsNothingWithinTheRankAndTheTableOnNormalValues) {
  constexpr std::int64_t kRows = 96, kColumns = 512;
  std::vector<float> low(kRows * kColumns), flat(kRows * kColumns);
  for (std::int64_t i = 0; i < kRows; ++i) {
    for (std::int64_t j = 0; j < kColumns; ++j) {
      low[static_cast<std::size_t>(i * kColumns + j)] = static_cast<float>(std::sin(0.1 * static_cast<double>(i)) * std::cos(0.3 * static_cast<double>(j)));
      flat[static_cast<std::size_t>(i * kColumns + j)] = static_cast<float>(normal_value(0, 0, 0, i * kColumns + j));
    }
  }
  const auto residual = [&](const std::string& codec, std::vector<float>& values) {
    return residual_on(candidate_of(codec, {}), cpu_kernels(), plain_allocator(), TensorView(values.data(), DType::f32, {kRows, kColumns}));
  };
  EXPECT_LT(residual("powersgd-1", low), 1e-3);  // f32 rounding, far below any codec's loss
  // The largest singular value of a random m x n matrix is about sqrt(m) + sqrt(n): rank 4 holds at most 4 (sqrt(m) + sqrt(n))^2 / (m n) = 0.085 of the energy, so e > 0.95.
  EXPECT_GT(residual("powersgd-4", flat), 15);
  // 1 / sqrt(samples) of the table's figure for normal values and blocks of 512: well within a tenth.
  for (const std::string codec : {"quantize-2", "quantize-4"}) {
    const double expected = expected_residual(candidate_of(codec, {}));
    EXPECT_NEAR(residual(codec, flat), expected, 0.1 * expected) << codec;
  }
  std::fill(low.begin(), low.end(), 0.0f);
  EXPECT_LT(residual("quantize-2", low), 0);
  low[7] = std::nanf("");
  EXPECT_LT(residual("quantize-2", low), 0);
}

class Automatic : public ::testing::TestWithParam<int> {};

TEST_P(Automatic, CompressesOnASlowLinkOnAllRanksAndLosesNothing) {
  const int ranks = GetParam();
  constexpr std::int64_t kSteps = 8;
  PerRank<std::vector<std::vector<std::string>>> codecs(ranks);
  PerRank<std::vector<std::vector<double>>> sums(ranks);
  PerRank<SavedState> states(ranks);
  run_ranks_as_threads(ranks, [&](Collective& group) {
    SlowLink link(group, kSlow);
    RankExchange world(link, gradients(), automatic());
    std::vector<std::vector<std::string>> seen;
    std::vector<std::vector<double>> sum;
    for (std::int64_t number = 0; number < kSteps; ++number) {
      const ExchangeReport report = step(world, group.rank(), number, normal);
      seen.push_back(codecs_in(report));
      const bool planned = number == 0 || number == 3 || number == 6;
      EXPECT_EQ(report.plan.size(), planned && group.rank() == 0 ? report.buckets.size() : 0u) << number;
      std::int64_t bytes = 0;
      for (const BucketReport& bucket : report.buckets) {
        EXPECT_EQ(bucket.bytes_sent, bucket.bytes_planned);
        bytes += bucket.bytes_sent;
      }
      EXPECT_EQ(bytes, report.bytes_sent);
      const auto now = contents(world);
      if (sum.empty()) sum = now;
      else for (std::size_t s = 0; s < sum.size(); ++s) for (std::size_t i = 0; i < sum[s].size(); ++i) sum[s][i] += now[s][i];
    }
    codecs.set(group.rank(), seen);
    sums.set(group.rank(), sum);
    states.set(group.rank(), save(*world.exchange));
  });
  // What waits at the start is bounded by start_budget.
  EXPECT_THAT(codecs[0][0], Each(::testing::AnyOf("none", "half", "quantize-8", "quantize-4")));
  EXPECT_EQ(codecs[0][2], codecs[0][0]);
  bool compressed = false;
  for (const std::string& name : codecs[0][kSteps - 1]) compressed = compressed || name.starts_with("powersgd") || name.starts_with("quantize");
  EXPECT_TRUE(compressed) << ::testing::PrintToString(codecs[0][kSteps - 1]);
  const std::vector<GradientSlot> slots = gradients();
  for (int rank = 0; rank < ranks; ++rank) {
    EXPECT_EQ(codecs[rank], codecs[0]);
    EXPECT_EQ(sums[rank], sums[0]);
  }
  // Sum of what was decoded and of what waits = sum of all gradients, within f32 and the first steps' bf16.
  for (std::size_t s = 0; s < slots.size(); ++s) {
    std::vector<double> waiting(static_cast<std::size_t>(slots[s].numel), 0);
    for (int rank = 0; rank < ranks; ++rank) {
      const std::vector<float> residual = residual_of(states[rank], slots[s].name, slots[s].numel);
      for (std::size_t i = 0; i < waiting.size(); ++i) waiting[i] += residual[i];
    }
    for (std::int64_t i = 0; i < slots[s].numel; i += 7) {
      double expected = 0;
      for (int rank = 0; rank < ranks; ++rank) for (std::int64_t number = 0; number < kSteps; ++number) expected += normal(rank, number, static_cast<std::int64_t>(s), i);
      const auto at = static_cast<std::size_t>(i);
      // Three steps on half: each rank's value and the sum are rounded to 2^-9 of values below 5 p.
      EXPECT_NEAR(sums[0][s][at] + waiting[at], expected, 3 * 2 * 5 * ranks * 0x1p-9) << slots[s].name << " " << i;
    }
  }
}
INSTANTIATE_TEST_SUITE_P(Ranks, Automatic, ::testing::Values(2, 3));

TEST(AutomaticExchange, AFastLinkStaysOnExactCodecs) {
  run_ranks_as_threads(2, [&](Collective& group) {
    RankExchange world(group, gradients(), automatic());
    ExchangeReport report;
    for (std::int64_t number = 0; number < 6; ++number) report = step(world, group.rank(), number, normal);
    EXPECT_THAT(codecs_in(report), Each(::testing::AnyOf(std::string("none"), std::string("half"))));
  });
}

TEST(AutomaticExchange, ABudgetOfZeroNeverLosesAnything) {
  run_ranks_as_threads(2, [&](Collective& group) {
    SlowLink link(group, kSlow);
    ExchangeConfig config = automatic();
    config.automatic.error_budget = 0;
    RankExchange world(link, gradients(), config);
    ExchangeReport report;
    for (std::int64_t number = 0; number < 5; ++number) report = step(world, group.rank(), number, normal);
    EXPECT_THAT(codecs_in(report), Each(::testing::AnyOf(std::string("none"), std::string("half"))));
  });
}

TEST(SlackAt, DoublesTheStepAtFirstAndEndsAtATwentieth) {
  AutoSettings settings;
  settings.settle = 32;
  EXPECT_EQ(slack_at(0, settings), 0.05);
  EXPECT_EQ(slack_at(1, settings), 1);
  EXPECT_EQ(slack_at(32, settings), 1);
  EXPECT_EQ(slack_at(64, settings), 0.5);
  EXPECT_EQ(slack_at(320, settings), 0.1);
  EXPECT_EQ(slack_at(1000000, settings), 0.05);
}

TEST(NextPlan, DoublesItsDistanceUpToTheLongest) {
  AutoSettings settings;
  settings.first_plan = 32;
  settings.replan_every = 300;
  std::vector<std::int64_t> steps;
  std::optional<std::int64_t> last;
  while (steps.size() < 8) steps.push_back(*(last = next_plan(last, settings)));
  EXPECT_EQ(steps, (std::vector<std::int64_t>{0, 32, 64, 128, 256, 512, 812, 1112}));
  // After a checkpoint anywhere the next one is the same.
  for (std::int64_t step = 0; step < 1112; ++step) {
    EXPECT_EQ(next_plan(step, settings), *std::upper_bound(steps.begin(), steps.end(), step)) << step;
  }
}

// Rank 1 of a random matrix keeps so little that what waits grows from step to step; the next plan by the calendar would be a thousand steps away.
TEST(AutomaticExchange, AResidualBeyondTheBudgetIsPlannedForAtOnce) {
  constexpr std::int64_t kSteps = 36;
  PerRank<std::vector<std::vector<std::string>>> codecs(2);
  PerRank<std::vector<std::int64_t>> plans(2);
  run_ranks_as_threads(2, [&](Collective& group) {
    SlowLink link(group, kSlow);
    ExchangeConfig config = automatic();
    config.automatic.candidates = {"half", "powersgd-1"};
    config.automatic.first_plan = 1000;
    config.automatic.error_budget = config.automatic.start_budget = 2;
    RankExchange world(link, gradients(), config);
    std::vector<std::vector<std::string>> seen;
    std::vector<std::int64_t> planned;
    for (std::int64_t number = 0; number < kSteps; ++number) {
      const ExchangeReport report = step(world, group.rank(), number, normal);
      seen.push_back(codecs_in(report));
      if (!report.plan.empty()) planned.push_back(number);
    }
    codecs.set(group.rank(), seen);
    plans.set(group.rank(), planned);
  });
  EXPECT_EQ(codecs[1], codecs[0]);
  EXPECT_THAT(codecs[0].front(), ::testing::Contains("powersgd-1"));
  EXPECT_THAT(codecs[0].back(), Each(std::string("half")));
  ASSERT_GE(plans[0].size(), 2u);
  EXPECT_LE(plans[0][1], 18);  // looked at by step 16 at the latest, asked for in the next, made before the one after
  EXPECT_THAT(plans[1], ::testing::IsEmpty());
}

TEST(AutomaticExchange, SketchedGradientsStayExactUnlessAsked) {
  for (const bool compress : {false, true}) {
    run_ranks_as_threads(2, [&](Collective& group) {
      std::vector<GradientSlot> slots{matrix("s1", 64, 256)};
      slots[0].kind = GradientKind::sketched;
      ExchangeConfig config{.codec = "powersgd"};
      config.settings.compress_sketched = compress;
      RankExchange world(group, slots, config);
      step(world, group.rank(), 0, normal);
      double worst = 0;
      for (std::int64_t i = 0; i < slots[0].numel; ++i) worst = std::max(worst, std::abs(get(world.gradient(0), i) - normal(0, 0, 0, i) - normal(1, 0, 0, i)));
      EXPECT_EQ(worst > 0.1, compress) << worst;
      EXPECT_EQ(worst < 1e-6, !compress) << worst;
    });
  }
}

TEST(AutomaticExchange, ResidualsOfACodecThatIsGoneAreAddedToTheNextGradient) {
  PerRank<SavedState> states(2);
  const auto run = [&](const std::string& plan, const auto& body) {
    run_ranks_as_threads(2, [&](Collective& group) {
      ExchangeConfig config = automatic();
      config.automatic.plan = plan;
      RankExchange world(group, gradients(), config);
      body(world, group.rank());
    });
  };
  run("powersgd-2", [&](RankExchange& world, int rank) {
    for (std::int64_t number = 0; number < 4; ++number) step(world, rank, number, normal);
    states.set(rank, save(*world.exchange));
  });
  run("none", [&](RankExchange& world, int rank) {
    load(*world.exchange, states[rank]);
    // A rejected step keeps what waits; the next one brings it; then it is gone.
    for (const bool rejected : {true, false}) {
      step(world, rank, 4, normal);
      for (std::size_t s = 0; s < world.slots.size(); ++s) {
        const std::int64_t numel = world.slots[s].numel;
        const std::vector<float> first = residual_of(states[0], world.slots[s].name, numel), second = residual_of(states[1], world.slots[s].name, numel);
        for (std::int64_t i = 0; i < numel; i += 5) {
          const auto at = static_cast<std::size_t>(i);
          const double expected = normal(0, 4, static_cast<std::int64_t>(s), i) + normal(1, 4, static_cast<std::int64_t>(s), i) + first[at] + second[at];
          EXPECT_NEAR(get(world.gradient(static_cast<std::int64_t>(s)), i), expected, 1e-5 * (1 + std::abs(expected)));
        }
      }
      if (rejected) world.exchange->reject_step();
    }
    EXPECT_EQ(residual_of(save(*world.exchange), "a", 96 * 128), std::vector<float>(96 * 128, 0.0f));
    step(world, rank, 5, normal);
    EXPECT_NEAR(get(world.gradient(0), 3), normal(0, 5, 0, 3) + normal(1, 5, 0, 3), 1e-6);
  });
}

/// What a planner learned, of a codec's state.
SavedState learned_in(SavedState state) {
  std::erase_if(state, [](const auto& entry) { return !entry.first.starts_with("exchange/learned/"); });
  return state;
}

TEST(LearnedErrors, TrialsNeverLowerWhatTrainingSaidAndOthersFadeByHalfInLogarithms) {
  LearnedErrors learned({"a", "b"});
  EXPECT_EQ(learned.factor(0, "sign"), 1);
  learned.observe(0, "powersgd", 16);
  learned.try_out(0, "powersgd", 2);
  learned.try_out(0, "quantize", 0.25);
  EXPECT_EQ(learned.factor(0, "powersgd"), 16);
  EXPECT_EQ(learned.factor(0, "quantize"), 0.25);
  learned.forget_others({"quantize", "half"});
  EXPECT_EQ(learned.factor(0, "powersgd"), 4);
  EXPECT_EQ(learned.factor(0, "quantize"), 0.25);
  learned.observe(0, "powersgd", 1.5);
  EXPECT_EQ(learned.factor(0, "powersgd"), 1.5);
  EXPECT_FALSE(learned.knows(1, "powersgd"));
}

TEST(AutomaticExchange, ResumesWithThePlanAndBitsThatWereSaved) {
  PerRank<SavedState> states(2);
  PerRank<std::vector<std::vector<double>>> whole(2), resumed(2);
  const auto run = [&](bool second) {
    run_ranks_as_threads(2, [&](Collective& group) {
      SlowLink link(group, kSlow);
      RankExchange world(link, gradients(), automatic());
      if (second) {
        load(*world.exchange, states[group.rank()]);
        EXPECT_EQ(learned_in(save(*world.exchange)), learned_in(states[group.rank()]));
      }
      // Plans are due before steps 0, 3, 6 and 12.
      for (std::int64_t number = second ? 7 : 0; number < 11; ++number) {
        if (number == 7 && !second) states.set(group.rank(), save(*world.exchange));
        const ExchangeReport report = step(world, group.rank(), number, normal);
        if (number == 7) {
          EXPECT_THAT(codecs_in(report), Not(Each(std::string("half"))));
        }
      }
      (second ? resumed : whole).set(group.rank(), contents(world));
    });
  };
  run(false);
  EXPECT_FALSE(learned_in(states[0]).empty());  // rank 0 tried codecs before step 3
  run(true);
  for (int rank = 0; rank < 2; ++rank) EXPECT_EQ(resumed[rank], whole[rank]);
}

TEST(AutomaticExchange, RanksThatBecomeReadyInAnyOrderSwitchTogether) {
  // The link's rate jumps at every plan, so plans change; every rank must issue the same messages. 4 ranks, random readiness.
  constexpr int kRanks = 4;
  constexpr std::int64_t kSteps = 600;
  PerRank<std::uint64_t> logs(kRanks);
  PerRank<std::int64_t> switches(kRanks);
  run_ranks_as_threads(kRanks, [&](Collective& group) {
    SlowLink link(group, kFast);
    ExchangeConfig config{.codec = "auto", .bucket_bytes = 8 << 10, .first_bucket_bytes = 4 << 10};
    config.automatic.first_plan = 5;
    config.automatic.replan_every = 25;
    RankExchange world(link, {matrix("a", 40, 40), vector("b", 30), matrix("c", 32, 64), matrix("d", 48, 40)}, config);
    std::uint64_t log = 0;
    std::int64_t changed = 0;
    std::vector<std::string> before;
    for (std::int64_t number = 0; number < kSteps; ++number) {
      link.rate() = number / 25 % 2 == 0 ? kFast : 2e6;
      world.exchange->begin({});
      fill(world, group.rank(), number, [](int rank, std::int64_t at, std::int64_t, std::int64_t i) { return std::sin(static_cast<double>(i + at)) + rank; });
      std::vector<std::int64_t> order{0, 1, 2, 3};
      for (std::size_t i = 3; i > 0; --i) std::swap(order[i], order[mix64(static_cast<std::uint64_t>(group.rank() * 1000 + number), i) % (i + 1)]);
      for (const std::int64_t slot : order) world.exchange->mark_ready(slot);
      link.rate() = kFast;  // only the planner's measurement is slow
      const ExchangeReport report = world.exchange->finish();
      const std::vector<std::string> now = codecs_in(report);
      changed += !before.empty() && now != before ? 1 : 0;
      before = now;
      for (const std::string& name : now) log = mix64(log, hash_name(name.data(), name.size()));
      for (std::int64_t slot = 0; slot < 4; ++slot) log = mix64(log, static_cast<std::uint64_t>(std::llround(1e6 * get(world.gradient(slot), 1))));
    }
    logs.set(group.rank(), log);
    switches.set(group.rank(), changed);
  });
  for (int rank = 0; rank < kRanks; ++rank) EXPECT_EQ(logs[rank], logs[0]);
  EXPECT_GE(switches[0], 4);
}

TEST(NonFinite, NamesTheParameterAndFromTheSecondTimeOnTheRank) {
  for (const std::string codec : {"none", "powersgd"}) {
    run_ranks_as_threads(3, [&](Collective& group) {
      RankExchange world(group, gradients(), {.codec = codec, .bucket_bytes = 64 << 10, .first_bucket_bytes = 32 << 10});
      const auto poisoned = [](int rank, std::int64_t number, std::int64_t slot, std::int64_t i) {
        return number > 0 && rank == 1 && slot == 2 && i == 77 ? std::nan("") : normal(rank, number, slot, i);
      };
      EXPECT_FALSE(step(world, group.rank(), 0, poisoned).control.nonfinite);
      for (const std::int64_t number : {1, 2}) {
        const ExchangeReport report = step(world, group.rank(), number, poisoned);
        // `none` sums and does not look at first: the trainer's norm finds it.
        EXPECT_EQ(report.control.nonfinite, codec != "none" || number == 2);
        EXPECT_EQ(report.control.nonfinite ? report.nonfinite_parameter : world.exchange->reject_step(), "c");
        EXPECT_EQ(report.nonfinite_ranks, number == 1 ? std::vector<int>{} : std::vector<int>{1});
      }
    });
  }
}

TEST(AutomaticExchange, BadSettingsSayWhatWouldWork) {
  const auto message = [&](const std::function<void(ExchangeConfig&)>& change) {
    Thrown thrown;
    run_ranks_as_threads(2, [&](Collective& group) {
      ExchangeConfig config = automatic();
      change(config);
      const Thrown found = catch_error([&] { RankExchange world(group, gradients(), config); });
      if (group.rank() == 0) thrown = found;
    });
    return thrown.message;
  };
  EXPECT_THAT(message([](ExchangeConfig& config) { config.automatic.plan = "none,half"; }), HasSubstr("give one, or one for each"));
  EXPECT_THAT(message([](ExchangeConfig& config) { config.automatic.plan = "powersdg-4"; }), HasSubstr("powersgd"));
  EXPECT_THAT(message([](ExchangeConfig& config) { config.automatic.candidates = {"none"}; }), HasSubstr("must hold half"));
}

}  // namespace
}  // namespace panther::comm::testing
