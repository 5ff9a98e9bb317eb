// What must not matter, or must matter in a known way, whatever a codec does: units, which rank is which, ranks without samples, the backend.
#include <gtest/gtest.h>

#include <cmath>

#include "comm/group.h"
#include "tests/comm/backend_why_not.h"
#include "tests/comm/codec_world.h"
#include "tests/comm/rank_world.h"

namespace panther::comm {
namespace {

using namespace testing;  // NOLINT: the test's own vocabulary

constexpr int kSteps = 4;

using Steps = std::vector<std::vector<std::vector<double>>>;  ///< decoded by step, slot and element

std::vector<GradientSlot> slots() { return {matrix("wide", 40, 130), vector("bias", 37), matrix("tall", 201, 33), matrix("square", 64, 64)}; }

ExchangeConfig config_of(const std::string& codec) {
  // A wire smaller than these matrices for every codec.
  return {.codec = codec, .bucket_bytes = 16384, .first_bucket_bytes = 8192, .settings = {.density = 0.02, .sketch_rows = 3, .sketch_columns = 6, .min_numel = 256}};
}

Steps steps_of(Collective& collective, const std::string& codec, const Gradient& gradient) {
  RankExchange world(collective, slots(), config_of(codec));
  Steps steps;
  for (int s = 0; s < kSteps; ++s) {
    EXPECT_FALSE(step(world, collective.rank(), s, gradient).control.nonfinite);
    steps.push_back(contents(world));
  }
  return steps;
}

Steps on_threads(int ranks, const std::string& codec, const Gradient& gradient) {
  PerRank<Steps> all(ranks);
  run_ranks_as_threads(ranks, [&](Collective& collective) { all.set(collective.rank(), steps_of(collective, codec, gradient)); });
  for (int rank = 1; rank < ranks; ++rank) EXPECT_EQ(all[rank], all[0]) << codec;
  return all[0];
}

class CodecMetamorphic : public ::testing::TestWithParam<std::string> {};

/// The unit of the loss: a power of two goes through every codec, its residual, warm start and guard without a bit changing.
TEST_P(CodecMetamorphic, ScalesWithPowersOfTwo) {
  const Steps one = on_threads(3, GetParam(), normal_value);
  for (const int exponent : {-20, 13}) {
    const Steps scaled = on_threads(3, GetParam(), [&](int rank, std::int64_t s, std::int64_t slot, std::int64_t i) { return std::ldexp(static_cast<double>(normal_value(rank, s, slot, i)), exponent); });
    for (int s = 0; s < kSteps; ++s) {
      for (std::size_t slot = 0; slot < slots().size(); ++slot) {
        for (std::size_t i = 0; i < one[static_cast<std::size_t>(s)][slot].size(); ++i) {
          ASSERT_EQ(scaled[static_cast<std::size_t>(s)][slot][i], std::ldexp(one[static_cast<std::size_t>(s)][slot][i], exponent)) << GetParam() << " step " << s;
        }
      }
    }
  }
}

/// Two ranks that trade their samples: a sum of two terms does not depend on their order, so no bit changes.
TEST_P(CodecMetamorphic, DoesNotCareWhichRankHasWhichSamples) {
  const Steps straight = on_threads(2, GetParam(), normal_value);
  const Steps swapped = on_threads(2, GetParam(), [](int rank, std::int64_t s, std::int64_t slot, std::int64_t i) { return static_cast<double>(normal_value(1 - rank, s, slot, i)); });
  EXPECT_EQ(straight, swapped);
}

/// Ranks without samples bring zeros: what comes, and what waits, is what the others brought.
TEST_P(CodecMetamorphic, RanksWithoutSamplesAddNothing) {
  constexpr int kRanks = 3;
  const Gradient one_rank = [](int rank, std::int64_t s, std::int64_t slot, std::int64_t i) { return rank == 1 ? static_cast<double>(normal_value(rank, s, slot, i)) : 0.0; };
  PerRank<Steps> decoded(kRanks);
  PerRank<SavedState> states(kRanks);
  run_ranks_as_threads(kRanks, [&](Collective& collective) {
    RankExchange world(collective, slots(), config_of(GetParam()));
    Steps steps;
    for (int s = 0; s < kSteps; ++s) {
      EXPECT_FALSE(step(world, collective.rank(), s, one_rank).control.nonfinite);
      steps.push_back(contents(world));
    }
    decoded.set(collective.rank(), steps);
    states.set(collective.rank(), save(*world.exchange));
  });
  for (std::size_t slot = 0; slot < slots().size(); ++slot) {
    const std::int64_t numel = slots()[slot].numel;
    for (std::int64_t i = 0; i < numel; ++i) {
      const auto at = static_cast<std::size_t>(i);
      double got = 0, brought = 0;
      for (int s = 0; s < kSteps; ++s) {
        got += decoded[0][static_cast<std::size_t>(s)][slot][at];
        brought += one_rank(1, s, static_cast<std::int64_t>(slot), i);
      }
      for (int rank = 0; rank < kRanks; ++rank) got += static_cast<double>(residual_of(states[rank], slots()[slot].name, numel)[at]);
      ASSERT_NEAR(got, brought, GetParam() == "half" ? kSteps * 2 * 0x1p-8 * 4 : 2e-3) << GetParam() << " " << slots()[slot].name << "[" << i << "]";
    }
  }
}

/// Sums of two ranks have the same bits over every backend.
TEST_P(CodecMetamorphic, BackendsAgree) {
  const Steps threads = on_threads(2, GetParam(), normal_value);
  for (const std::string backend : {"messages", "tcp", "gloo"}) {
    if (!why_not(backend).empty()) continue;
    PerRank<Steps> all(2);
    make_rank_world(backend, 2)->run([&](Collective& group, const std::function<void()>&) { all.set(group.rank(), steps_of(group, GetParam(), normal_value)); });
    EXPECT_EQ(all[0], threads) << backend;
    EXPECT_EQ(all[1], threads) << backend;
  }
}

INSTANTIATE_TEST_SUITE_P(Registry, CodecMetamorphic, ::testing::ValuesIn(codec_registry().names()), [](const auto& test) { return test.param; });

}  // namespace
}  // namespace panther::comm
