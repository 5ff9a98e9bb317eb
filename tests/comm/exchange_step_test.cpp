// Whole steps over the threads backend: sums, control word, loss, accumulation, ledger, views.
#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <limits>
#include <mutex>
#include <set>

#include "tests/comm/exchange_world.h"

namespace panther::comm {
namespace {

using testing::RankExchange;

std::vector<GradientSlot> mixed_slots() {
  return {{"embedding", 3000}, {"bias", 7}, {"scale", 1}, {"weight", 1000, DType::f64}, {"nothing", 0},
          {"half", 333, DType::bf16}, {"old", 65, DType::f16}, {"sketched", 500, DType::f32, 1}, {"head", 129}};
}

/// Small integers that tell rank, slot and element apart; sums over 7 ranks stay exact in every dtype (at most 2^8).
double coded(int rank, std::int64_t slot, std::int64_t element) { return static_cast<double>((rank + 1) * ((slot * 5 + element) % 9)); }
double coded_sum(int ranks, std::int64_t slot, std::int64_t element) {
  return static_cast<double>(ranks * (ranks + 1) / 2 * ((slot * 5 + element) % 9));
}

void fill(RankExchange& world, int rank, double factor = 1) {
  for (std::size_t slot = 0; slot < world.slots.size(); ++slot) {
    const TensorView gradient = world.gradient(static_cast<std::int64_t>(slot));
    for (std::int64_t i = 0; i < gradient.numel(); ++i) {
      testing::put(gradient, i, testing::get(gradient, i) + factor * coded(rank, static_cast<std::int64_t>(slot), i));
    }
  }
}

void expect_sums(const RankExchange& world, int ranks, double factor, const std::set<std::int64_t>& except = {}) {
  for (std::size_t slot = 0; slot < world.slots.size(); ++slot) {
    const auto s = static_cast<std::int64_t>(slot);
    if (except.contains(s)) continue;
    const TensorView gradient = world.gradient(s);
    for (std::int64_t i = 0; i < gradient.numel(); ++i) {
      ASSERT_EQ(testing::get(gradient, i), factor * coded_sum(ranks, s, i)) << world.slots[slot].name << "[" << i << "]";
    }
  }
}

ExchangeConfig small_buckets(const std::string& codec = "none") {
  return {.codec = codec, .bucket_bytes = 4096, .first_bucket_bytes = 256};
}

class ExchangeStep : public ::testing::TestWithParam<std::tuple<int, std::string, bool>> {};

TEST_P(ExchangeStep, SumsAreExactStepAfterStep) {
  const auto& [ranks, codec, checked] = GetParam();
  run_ranks_as_threads(ranks, [&, codec = codec, checked = checked](Collective& collective) {
    ExchangeConfig config = small_buckets(codec);
    config.checked = checked;
    RankExchange world(collective, mixed_slots(), config);
    for (int step = 0; step < 3; ++step) {
      world.zero();
      world.exchange->begin({});
      world.exchange->set_control({}, 0.1 * (collective.rank() + 1));
      fill(world, collective.rank());
      for (std::size_t slot = world.slots.size(); slot-- > 0;) world.exchange->mark_ready(static_cast<std::int64_t>(slot));
      const ExchangeReport report = world.exchange->finish();
      expect_sums(world, collective.size(), 1);
      double loss = 0;
      for (int rank = 0; rank < collective.size(); ++rank) loss += 0.1 * (rank + 1);
      EXPECT_EQ(report.loss_sum, loss) << "added in rank order, without losing a bit on the wire";
      EXPECT_EQ(report.contributions, collective.size());
      EXPECT_FALSE(report.control.stop || report.control.checkpoint || report.control.nonfinite);
      EXPECT_GE(report.exposed_seconds, 0);
    }
  });
}

INSTANTIATE_TEST_SUITE_P(All, ExchangeStep,
                         ::testing::Combine(::testing::Values(1, 2, 3, 4, 7), ::testing::Values("none", "half"), ::testing::Bool()),
                         [](const auto& param) {
                           return std::to_string(std::get<0>(param.param)) + "_ranks_" + std::get<1>(param.param) +
                                  (std::get<2>(param.param) ? "_checked" : "");
                         });

TEST(ExchangeControl, AFlagOfAnyRankReachesAll) {
  run_ranks_as_threads(4, [](Collective& collective) {
    RankExchange world(collective, mixed_slots(), small_buckets());
    for (int step = 0; step < 24; ++step) {  // flag step/8 from the ranks whose bits are set
      const int flag = step / 8;
      const int who = 1 + step % 8;
      const bool raise = ((who >> collective.rank()) & 1) != 0;
      world.exchange->begin({});
      world.exchange->set_control({.stop = raise && flag == 0, .checkpoint = raise && flag == 1, .nonfinite = raise && flag == 2}, 0);
      const ControlWord any = world.exchange->finish().control;
      EXPECT_EQ(any.stop, flag == 0) << step;
      EXPECT_EQ(any.checkpoint, flag == 1) << step;
      EXPECT_EQ(any.nonfinite, flag == 2) << step;
    }
  });
}

TEST(ExchangeControl, TheLossLosesNoBitInAnyDtypeOfTheFirstBucket) {
  for (const DType dtype : {DType::f64, DType::f32, DType::bf16, DType::f16}) {
    for (const char* codec : {"none", "half"}) {
      run_ranks_as_threads(3, [&](Collective& collective) {
        RankExchange world(collective, {{"only", 10, dtype}}, {.codec = codec});
        for (const double loss : {1.0 / 3, -1e300, 5e-324, 12345678.000000001, 0.0}) {
          world.exchange->begin({});
          world.exchange->set_control({}, collective.rank() == 1 ? loss : 0.0);
          EXPECT_EQ(world.exchange->finish().loss_sum, loss);
        }
        world.exchange->begin({});
        world.exchange->set_control({}, collective.rank() == 2 ? std::numeric_limits<double>::quiet_NaN() : 1.0);
        EXPECT_TRUE(std::isnan(world.exchange->finish().loss_sum));
      });
    }
  }
}

TEST(ExchangeControl, ItTravelsAloneWhereThereIsNoBucket) {
  run_ranks_as_threads(3, [](Collective& collective) {
    RankExchange world(collective, {}, {});
    world.exchange->begin({});
    world.exchange->set_control({.stop = collective.rank() == 2}, 2.5);
    const ExchangeReport report = world.exchange->finish();
    EXPECT_TRUE(report.control.stop);
    EXPECT_EQ(report.loss_sum, 7.5);
    EXPECT_EQ(report.collectives, 1);
  });
}

TEST(ExchangeControl, NonFiniteGradientsDoNotTouchIt) {
  run_ranks_as_threads(2, [](Collective& collective) {
    for (const bool checked : {false, true}) {
      RankExchange world(collective, {{"g", 40}}, {.checked = checked});
      world.exchange->begin({});
      world.exchange->set_control({.nonfinite = true}, 1);
      if (collective.rank() == 0) testing::put(world.gradient(0), 3, std::numeric_limits<double>::infinity());
      if (collective.rank() == 1) testing::put(world.gradient(0), 3, -std::numeric_limits<double>::infinity());
      const ExchangeReport report = world.exchange->finish();
      EXPECT_TRUE(report.control.nonfinite);
      EXPECT_EQ(report.loss_sum, 2);
      EXPECT_TRUE(std::isnan(testing::get(world.gradient(0), 3)));
      EXPECT_EQ(testing::get(world.gradient(0), 4), 0);
    }
  });
}

TEST(ExchangeStepTest, SlotsNotMarkedCountAsTheyStand) {
  run_ranks_as_threads(3, [](Collective& collective) {
    RankExchange world(collective, mixed_slots(), small_buckets());
    world.exchange->begin({});
    fill(world, collective.rank());
    for (const std::int64_t slot : {8, 3, 0}) {
      if ((slot + collective.rank()) % 2 == 0) world.exchange->mark_ready(slot);  // different ones on every rank
    }
    world.exchange->finish();
    expect_sums(world, collective.size(), 1);
  });
}

TEST(ExchangeStepTest, AccumulationSendsOnceWhatSeveralPassesAdded) {
  run_ranks_as_threads(2, [](Collective& collective) {
    testing::Watched counted(collective);
    RankExchange world(counted, mixed_slots(), small_buckets());
    world.exchange->begin({});
    for (int pass = 0; pass < 4; ++pass) fill(world, collective.rank());
    const ExchangeReport report = world.exchange->finish();
    expect_sums(world, 2, 4);
    EXPECT_EQ(counted.calls, static_cast<std::int64_t>(world.plan.buckets.size()));
    EXPECT_EQ(report.collectives, counted.calls);
  });
}

TEST(ExchangeStepTest, TheLedgerCountsWhatTheCollectivesWereGiven) {
  for (const int ranks : {1, 2, 3, 7}) {
    for (const char* codec : {"none", "half"}) {
      for (const bool checked : {false, true}) {
        run_ranks_as_threads(ranks, [&](Collective& collective) {
          testing::Watched counted(collective);
          ExchangeConfig config = small_buckets(codec);
          config.checked = checked;
          RankExchange world(counted, mixed_slots(), config);
          for (int step = 1; step <= 2; ++step) {
            world.exchange->begin({});
            const ExchangeReport report = world.exchange->finish();
            EXPECT_EQ(report.bytes_sent * step, counted.counted_bytes);
            EXPECT_EQ(report.collectives * step, counted.calls);
          }
        });
      }
    }
  }
}

TEST(ExchangeStepTest, HalfSendsHalfOfDenseF32) {
  run_ranks_as_threads(2, [](Collective& collective) {
    const std::vector<GradientSlot> slots = {{"a", 1 << 20}};
    const auto report_of = [&](const char* codec) {
      RankExchange world(collective, slots, {.codec = codec});
      world.exchange->begin({});
      return world.exchange->finish();
    };
    const ExchangeReport none = report_of("none");
    const ExchangeReport half = report_of("half");
    EXPECT_EQ(none.bytes_dense_f32, 4 << 20);  // 2 N (p - 1) / p with p = 2
    EXPECT_EQ(none.bytes_sent, (4 << 20) + 18 * 4);
    EXPECT_EQ(half.bytes_sent, (2 << 20) + 18 * 2);
    EXPECT_GT(none.collective_seconds, 0);
  });
}

TEST(ExchangeStepTest, SumsLandInTheGradientsOwnMemory) {
  run_ranks_as_threads(2, [](Collective& collective) {
    testing::Watched watched(collective);
    RankExchange world(watched, {{"a", 100}, {"b", 100}}, {});
    const void* sent = nullptr;
    watched.before = [&](const TensorView& buffer) { sent = buffer.data; };
    world.exchange->begin({});
    world.exchange->finish();
    EXPECT_EQ(sent, world.buckets[0].data) << "the wire of `none` is the bucket: no copy";
  });
}

TEST(ExchangeStepTest, TraceBracketsEveryCollective) {
  run_ranks_as_threads(2, [](Collective& collective) {
    RankExchange world(collective, {{"a", 100}, {"b", 100}, {"c", 100}}, {.bucket_bytes = 1, .first_bucket_bytes = 1});
    std::vector<std::pair<std::int64_t, bool>> seen;
    world.exchange->trace = [&](const char* name, std::int64_t bucket, bool begin) {
      EXPECT_STREQ(name, "all_reduce");
      seen.emplace_back(bucket, begin);
    };
    world.exchange->begin({});
    world.exchange->finish();
    EXPECT_EQ(seen, (std::vector<std::pair<std::int64_t, bool>>{{0, true}, {0, false}, {1, true}, {1, false}, {2, true}, {2, false}}));
  });
}

TEST(ExchangeStepTest, OneRankKeepsItsGradientBits) {
  run_ranks_as_threads(1, [](Collective& collective) {
    RankExchange world(collective, {{"a", 3}}, {.codec = "half"});
    world.exchange->begin({});
    world.exchange->set_control({.checkpoint = true}, 0.3);
    testing::put(world.gradient(0), 1, 1.0000001);
    world.exchange->mark_ready(0);
    const ExchangeReport report = world.exchange->finish();
    EXPECT_EQ(testing::get(world.gradient(0), 1), static_cast<double>(1.0000001f));
    EXPECT_TRUE(report.control.checkpoint);
    EXPECT_EQ(report.loss_sum, 0.3);
    EXPECT_EQ(report.contributions, 1);
    EXPECT_EQ(report.bytes_sent, 0);
    EXPECT_EQ(report.collectives, 0);
  });
}

/// Matrices scattered, vectors not.
std::vector<GradientSlot> scattered_slots() {
  std::vector<GradientSlot> slots{{"embedding", 3000}, {"bias", 7}, {"weight", 1000, DType::f64}, {"tiny", 1}, {"half", 333, DType::bf16}, {"head", 129}};
  for (const std::size_t slot : {0, 2, 3, 4}) slots[slot].scattered = true;
  return slots;
}

TEST(ExchangeScattered, EveryRankGetsItsPartOfTheSum) {
  for (const int ranks : {1, 2, 3, 4, 7}) {
    for (const char* codec : {"none", "half"}) {
      std::vector<int> holders(3000 + 7 + 1000 + 1 + 333 + 129, 0);
      std::mutex mutex;
      run_ranks_as_threads(ranks, [&](Collective& inner) {
        testing::Watched collective(inner);
        RankExchange world(collective, scattered_slots(), small_buckets(codec));
        for (int step = 0; step < 2; ++step) {
          world.zero();
          fill(world, collective.rank());
          collective.counted_bytes = collective.calls = 0;
          world.exchange->begin({});
          world.exchange->set_control({}, 1);
          for (std::size_t slot = 0; slot < world.slots.size(); ++slot) world.exchange->mark_ready(static_cast<std::int64_t>(slot));
          const ExchangeReport report = world.exchange->finish();
          if (ranks > 1) {
            EXPECT_EQ(report.bytes_sent, collective.counted_bytes);
            EXPECT_EQ(report.collectives, collective.calls);
            EXPECT_EQ(report.loss_sum, ranks);
          }
        }
        const std::lock_guard lock(mutex);
        std::size_t base = 0;
        for (const Bucket& bucket : world.plan.buckets) {
          const TensorView memory = world.buckets[static_cast<std::size_t>(&bucket - world.plan.buckets.data())];
          const std::int64_t part = bucket.scattered ? bucket.numel / ranks : bucket.numel, begin = bucket.scattered ? collective.rank() * part : 0;
          EXPECT_TRUE(!bucket.scattered || bucket.numel % ranks == 0);
          for (const BucketMember& member : bucket.members) {
            for (std::int64_t i = 0; i < member.numel; ++i) {
              if (member.offset + i < begin || member.offset + i >= begin + part) continue;
              ASSERT_EQ(testing::get(memory, member.offset + i), coded_sum(ranks, member.slot, i)) << member.name << "[" << i << "] of " << ranks << " ranks, " << codec;
              ++holders[base + static_cast<std::size_t>(i)];
            }
            base += static_cast<std::size_t>(member.numel);
          }
        }
      });
      // Scattered ones have one holder each, the 136 others every rank.
      std::int64_t one = 0, all = 0;
      for (const int count : holders) one += count == 1, all += count == ranks;
      EXPECT_EQ(one, ranks == 1 ? static_cast<std::int64_t>(holders.size()) : 3000 + 1000 + 1 + 333);
      EXPECT_EQ(all, ranks == 1 ? static_cast<std::int64_t>(holders.size()) : 7 + 129);
    }
  }
}

TEST(ExchangeScattered, OthersThanNoneAndHalfAreRefused) {
  run_ranks_as_threads(2, [&](Collective& collective) {
    std::vector<GradientSlot> slots{{"weight", 4096, DType::f32, 0, 64, 64}};
    slots[0].scattered = true;
    for (const std::string& codec : codec_registry().names()) {
      if (codec == "none" || codec == "half") continue;
      const testing::Thrown thrown = testing::catch_error([&] { RankExchange(collective, slots, small_buckets(codec)); });
      EXPECT_EQ(thrown.code, ErrorCode::InvalidArgument) << codec;
      EXPECT_NE(thrown.message.find("use none or half"), std::string::npos) << thrown.message;
    }
    ExchangeConfig checked = small_buckets();
    checked.checked = true;
    EXPECT_NE(testing::catch_error([&] { RankExchange(collective, slots, checked); }).message.find("checked mode"), std::string::npos);
  });
}

}  // namespace
}  // namespace panther::comm
