// Two levels: sums inside nodes, codecs among their leaders; ranks as threads.
#include <gtest/gtest.h>

#include <atomic>
#include <cmath>
#include <limits>
#include <random>
#include <thread>

#include "comm/exchange/node_levels.h"
#include "tests/comm/levels_world.h"

namespace panther::comm {
namespace {

using namespace testing;  // NOLINT: the test's own vocabulary

TEST(NodeLevels, NodesAreHostsInTheOrderOfTheirFirstRanks) {
  const std::vector<std::int64_t> hosts{70, 70, 5, 5, 70};
  EXPECT_EQ(nodes_of({.mode = "auto"}, hosts), (Nodes{0, 0, 1, 1, 0}));
  EXPECT_EQ(nodes_of({.mode = "set", .node_ranks = 2}, hosts), (Nodes{0, 0, 1, 1, 2}));
  EXPECT_EQ(nodes_of({.mode = "set", .node_ranks = 4}, hosts), (Nodes{0, 0, 0, 0, 1}));
  EXPECT_EQ(nodes_of({.mode = "off"}, hosts), Nodes{});
  EXPECT_EQ(nodes_of({.mode = "auto"}, std::vector<std::int64_t>{1, 1, 1}), Nodes{}) << "one node";
  EXPECT_EQ(nodes_of({.mode = "auto"}, std::vector<std::int64_t>{1, 2, 3}), Nodes{}) << "one rank each";
  EXPECT_EQ(nodes_of({.mode = "set", .node_ranks = 8}, hosts), Nodes{});
  EXPECT_TRUE(catch_error([&] { nodes_of({.mode = "set"}, hosts); }).message.find("comm.hierarchy.node_ranks") != std::string::npos);
  EXPECT_EQ(host_number(), host_number());
}

TEST(NodeLevels, SumsAreThoseOfOneLevel) {
  for (const Nodes& nodes : kTopologies) {
    const auto ranks = static_cast<int>(nodes.size());
    for (const bool half : {false, true}) {
      run_ranks_as_threads(ranks, [&](Collective& collective) {
        RankExchange world(collective, slots(DType::f64), config_of("none", nodes, half));
        for (int s = 0; s < 3; ++s) {
          const ExchangeReport report = step(world, collective.rank(), s, normal_value);
          EXPECT_EQ(report.contributions, ranks);
          double losses = 0;
          for (int rank = 0; rank < ranks; ++rank) losses += 1.0 / (3 + rank);
          EXPECT_EQ(report.loss_sum, losses);
          const auto got = contents(world);
          for (std::size_t slot = 0; slot < got.size(); ++slot) {
            for (std::size_t i = 0; i < got[slot].size(); ++i) {
              double sum = 0, absolute = 0;
              for (int rank = 0; rank < ranks; ++rank) {
                const auto value = static_cast<double>(normal_value(rank, s, static_cast<std::int64_t>(slot), static_cast<std::int64_t>(i)));
                sum += value;
                absolute += std::abs(value);
              }
              // Rounded to bf16 by every rank, by its node's sum and by the result.
              ASSERT_NEAR(got[slot][i], sum, half ? 3 * 0x1p-8 * absolute : 1e-13 * absolute);
            }
          }
        }
      });
    }
  }
}

/// What ranks that train together get and keep.
struct Account {
  explicit Account(int ranks) : ends(ranks), sums(ranks), states(ranks) {}
  int ranks() const { return ends.ranks(); }

  /// On every rank: `steps` steps of normal_value; `seen(s, report)` after each.
  template <class Seen>
  void run(Collective& collective, RankExchange& world, int steps, const Seen& seen) {
    std::vector<std::vector<double>> sum;
    for (int s = 0; s < steps; ++s) {
      seen(s, step(world, collective.rank(), s, normal_value));
      const auto got = contents(world);
      if (sum.empty()) sum = got;
      else for (std::size_t slot = 0; slot < got.size(); ++slot) for (std::size_t i = 0; i < got[slot].size(); ++i) sum[slot][i] += got[slot][i];
    }
    ends.set(collective.rank(), contents(world));
    sums.set(collective.rank(), sum);
    states.set(collective.rank(), save(*world.exchange));
  }

  /// The same bits everywhere, and what was decoded and what is kept are together what all ranks brought, up to `slack` and two roundings to bf16
  /// of the first `halves` steps.
  void expect_whole(int steps, int halves, double slack, const std::string& what) const {
    for (int rank = 1; rank < ranks(); ++rank) EXPECT_EQ(ends[rank], ends[0]) << what;
    for (std::size_t slot = 0; slot < slots().size(); ++slot) {
      const std::int64_t numel = slots()[slot].numel;
      std::vector<double> owed(static_cast<std::size_t>(numel), 0.0);
      for (int rank = 0; rank < ranks(); ++rank) {
        const auto residual = residual_of(states[rank], slots()[slot].name, numel);
        for (std::size_t i = 0; i < owed.size(); ++i) owed[i] += static_cast<double>(residual[i]);
      }
      for (std::int64_t i = 0; i < numel; ++i) {
        double brought = 0, size = 0;
        for (int s = 0; s < steps; ++s) {
          for (int rank = 0; rank < ranks(); ++rank) {
            const auto value = static_cast<double>(normal_value(rank, s, static_cast<std::int64_t>(slot), i));
            brought += value;
            size += s < halves ? std::abs(value) : 0;
          }
        }
        ASSERT_NEAR(sums[0][slot][static_cast<std::size_t>(i)] + owed[static_cast<std::size_t>(i)], brought, 2 * 0x1p-8 * size + slack)
            << what << " " << slots()[slot].name << "[" << i << "]";
      }
    }
  }

  PerRank<std::vector<std::vector<double>>> ends, sums;
  PerRank<SavedState> states;
};

TEST(NodeLevels, EveryCodecWorksAmongLeaders) {
  for (const Nodes& nodes : {Nodes{0, 0, 1, 1}, Nodes{0, 0, 0, 1}}) {
    for (const std::string& codec : codec_registry().names()) {
      constexpr int kSteps = 3;
      Account account(4);
      run_ranks_as_threads(account.ranks(), [&](Collective& collective) {
        RankExchange world(collective, slots(), config_of(codec, nodes));
        account.run(collective, world, kSteps, [](int, const ExchangeReport& report) { EXPECT_FALSE(report.control.nonfinite); });
        EXPECT_EQ(world.exchange->state_holders(), 2);
      });
      const bool half = codec == "half";
      account.expect_whole(kSteps, half ? kSteps : 0, half ? 0 : 1e-3, codec);
    }
  }
}

TEST(NodeLevels, BytesBetweenNodesAreThoseOfTheLeaders) {
  const Nodes nodes{0, 0, 0, 0, 1, 1, 1, 1};
  std::atomic<std::int64_t> between = 0, inside = 0, flat = 0;
  run_ranks_as_threads(8, [&](Collective& collective) {
    for (const bool levels : {true, false}) {
      const ExchangeConfig config = config_of("none", levels ? nodes : Nodes{});
      RankExchange world(collective, slots(), config);
      const ExchangeReport report = step(world, collective.rank(), 0, normal_value);
      (levels ? between : flat) += report.bytes_sent - report.bytes_inside;
      inside += report.bytes_inside;
      if (levels && collective.rank() % 4 != 0) {
        EXPECT_EQ(report.bytes_sent, report.bytes_inside);
      }
      if (collective.rank() == 0) {
        const std::int64_t planned = planned_bytes_sent(world.plan, config, plain_allocator(), 8);
        EXPECT_NEAR(static_cast<double>(report.bytes_sent) / static_cast<double>(planned), 1, 0.01);
      }
    }
  });
  std::int64_t bytes = 0;
  run_ranks_as_threads(1, [&](Collective& collective) {
    for (const TensorView& bucket : RankExchange(collective, slots(), config_of("none", {})).buckets) bytes += bucket.bytes();
  });
  // Two leaders exchange N each; in one level every rank sends 2 N 7 / 8.
  EXPECT_NEAR(static_cast<double>(between) / static_cast<double>(2 * bytes), 1, 0.05);
  EXPECT_NEAR(static_cast<double>(flat) / static_cast<double>(14 * bytes), 1, 0.05);
  EXPECT_GT(inside, 0);
}

TEST(NodeLevels, NonFiniteGradientsOfAFollowerAreSkippedByAll) {
  for (const char* codec : {"none", "quantize", "top_k", "powersgd"}) {
    run_ranks_as_threads(4, [&](Collective& collective) {
      RankExchange world(collective, slots(), config_of(codec, {0, 0, 1, 1}));
      RankExchange twin(collective, slots(), config_of(codec, {0, 0, 1, 1}));
      step(world, collective.rank(), 0, normal_value);
      step(twin, collective.rank(), 0, normal_value);
      const SavedState before = save(*world.exchange);
      const ExchangeReport report = step(world, collective.rank(), 1, [](int rank, std::int64_t s, std::int64_t slot, std::int64_t i) {
        return rank == 3 && slot == 3 && i == 99 ? std::numeric_limits<double>::quiet_NaN() : static_cast<double>(normal_value(rank, s, slot, i));
      });
      if (std::string(codec) != "none") {
        EXPECT_TRUE(report.control.nonfinite) << codec << " rank " << collective.rank();
      }
      if (!report.control.nonfinite) world.exchange->reject_step();
      EXPECT_EQ(save(*world.exchange), before);
      step(world, collective.rank(), 2, normal_value);
      step(twin, collective.rank(), 2, normal_value);
      EXPECT_EQ(contents(world), contents(twin));
    });
  }
}

TEST(NodeLevels, StateContinuesBitForBit) {
  for (const char* codec : {"powersgd", "top_k", "auto"}) {
    run_ranks_as_threads(4, [&](Collective& collective) {
      ExchangeConfig config = config_of(codec, {0, 0, 1, 1});
      config.automatic.plan = "quantize-4";  // pinned: no clock in it
      RankExchange whole(collective, slots(), config), first(collective, slots(), config);
      for (int s = 0; s < 3; ++s) {
        step(whole, collective.rank(), s, normal_value);
        step(first, collective.rank(), s, normal_value);
      }
      RankExchange second(collective, slots(), config);
      load(*second.exchange, save(*first.exchange));
      for (int s = 3; s < 6; ++s) {
        step(whole, collective.rank(), s, normal_value);
        step(second, collective.rank(), s, normal_value);
        ASSERT_EQ(contents(second), contents(whole)) << codec;
      }
      EXPECT_FALSE(second.exchange->stateless()) << "on leaders and on others alike";
    });
  }
}

/// In any order of readiness, at any pace: what 300 steps end with is what they end with when every rank waits for the others.
TEST(NodeLevels, AnyOrderOfReadinessGivesTheSameBits) {
  constexpr int kRanks = 5, kSteps = 300;
  for (const char* codec : {"none", "powersgd"}) {
    const ExchangeConfig config = config_of(codec, {0, 0, 0, 1, 1});
    PerRank<std::vector<std::vector<double>>> ends(kRanks), calm(kRanks);
    for (const bool shaken : {false, true}) {
      run_ranks_as_threads(kRanks, [&](Collective& collective) {
        RankExchange world(collective, slots(), config);
        std::mt19937 random(static_cast<unsigned>(collective.rank()));
        for (int s = 0; s < kSteps; ++s) {
          world.exchange->begin({});
          fill(world, collective.rank(), s, normal_value);
          std::vector<std::int64_t> order(slots().size());
          for (std::size_t i = 0; i < order.size(); ++i) order[i] = static_cast<std::int64_t>(i);
          if (shaken) std::shuffle(order.begin(), order.end(), random);
          for (const std::int64_t slot : order) {
            if (shaken && random() % 16 == 0) std::this_thread::sleep_for(std::chrono::microseconds(random() % 200));
            world.exchange->mark_ready(slot);
          }
          EXPECT_EQ(world.exchange->finish().contributions, kRanks);
        }
        (shaken ? ends : calm).set(collective.rank(), contents(world));
      });
    }
    for (int rank = 0; rank < kRanks; ++rank) EXPECT_EQ(ends[rank], calm[0]) << codec;
  }
}

TEST(NodeLevels, ADeadRankEndsAllLevels) {
  for (const int dead : {0, 1, 3}) {  // a leader of two kinds and a follower
    std::atomic<int> told = 0;
    try {
      run_ranks_as_threads(4, [&](Collective& collective) {
        RankExchange world(collective, slots(), config_of("none", {0, 0, 1, 1}), 30s);
        if (collective.rank() == dead) {
          step(world, dead, 0, normal_value);
          fail(ErrorCode::Internal, "gone");
        }
        const Thrown thrown = catch_error([&] {
          for (int s = 0; s < 100; ++s) step(world, collective.rank(), s, normal_value);
        });
        EXPECT_EQ(thrown.code, ErrorCode::PeerLost) << thrown.message;
        ++told;
      });
    } catch (const Error& error) {
      EXPECT_EQ(error.message(), "gone");
    }
    EXPECT_EQ(told, 3);
  }
}

/// A rank that stalls is not gone: every other one ends by its deadline, at whatever level it waits, and the late one learns of it.
TEST(NodeLevels, AStalledRankEndsAllLevelsAtTheDeadline) {
  for (const int stalled : {0, 3}) {
    std::atomic<int> told = 0;
    run_ranks_as_threads(4, [&](Collective& collective) {
      RankExchange world(collective, slots(), config_of("quantize", {0, 0, 1, 1}), 1500ms);
      step(world, collective.rank(), 0, normal_value);
      if (collective.rank() == stalled) {
        while (told < 3) std::this_thread::sleep_for(10ms);
      }
      const Thrown thrown = catch_error([&] { step(world, collective.rank(), 1, normal_value); });
      ++told;
      EXPECT_TRUE(thrown.any) << collective.rank();
      EXPECT_TRUE(thrown.code == ErrorCode::Timeout || thrown.code == ErrorCode::PeerLost) << thrown.message;
      while (told < 4) std::this_thread::sleep_for(10ms);  // nobody learns of it by somebody leaving
    });
  }
}

/// What does not fit is said by leaders and by those who have no codec alike: nobody waits for somebody who has given up.
TEST(NodeLevels, WhatDoesNotFitIsRefusedByAllRanksAlike) {
  CodecRegistry elsewhere("comm.exchange");
  elsewhere.add("elsewhere", {.make = [](const CodecLayout&, const CodecSettings&, Allocator&) -> std::unique_ptr<Codec> { fail(ErrorCode::Unsupported, "no kernels here"); }});
  PerRank<Thrown> unsupported(4), settings(4), pinned(4), scattered(4);
  run_ranks_as_threads(4, [&](Collective& collective) {
    const Nodes nodes{0, 0, 1, 1};
    unsupported.set(collective.rank(), catch_error([&] { RankExchange(collective, slots(), config_of("elsewhere", nodes), 20s, elsewhere); }));
    ExchangeConfig automatic = config_of("auto", nodes);
    automatic.automatic.candidates = {"none", "quantize-4"};
    settings.set(collective.rank(), catch_error([&] { RankExchange(collective, slots(), automatic, 20s); }));
    automatic.automatic.plan = "half, none";
    pinned.set(collective.rank(), catch_error([&] { RankExchange(collective, slots(), automatic, 20s); }));
    std::vector<GradientSlot> parts = slots();
    for (GradientSlot& slot : parts) slot.scattered = slot.rows > 0;
    scattered.set(collective.rank(), catch_error([&] { RankExchange(collective, parts, config_of("none", nodes), 20s); }));
  });
  for (int rank = 0; rank < 4; ++rank) {
    EXPECT_EQ(unsupported[rank].code, ErrorCode::Unsupported) << unsupported[rank].message;
    EXPECT_EQ(settings[rank].code, ErrorCode::InvalidArgument) << settings[rank].message;
    EXPECT_NE(settings[rank].message.find("must hold half"), std::string::npos) << settings[rank].message;
    EXPECT_NE(pinned[rank].message.find("comm.auto.plan names 2 codecs"), std::string::npos) << pinned[rank].message;
    EXPECT_NE(scattered[rank].message.find("leaves each rank its part of the sum alone, which two levels (comm.hierarchy)"), std::string::npos) << scattered[rank].message;
  }
}

/// A leader that cannot switch to the codec that was planned ends everybody, though nobody has sent anything yet.
TEST(NodeLevels, ALeaderThatCannotSwitchCodecsEndsAllLevels) {
  static thread_local bool broken = false;
  CodecRegistry codecs("comm.exchange");
  for (const char* name : {"none", "half"}) codecs.add(name, codec_registry().at(name));
  codecs.add("quantize", {.make = [](const CodecLayout& layout, const CodecSettings& settings, Allocator& allocator) {
    if (broken) fail(ErrorCode::OutOfMemory, "no memory for it");
    return codec_registry().at("quantize").make(layout, settings, allocator);
  }});
  std::atomic<int> told = 0;
  run_ranks_as_threads(4, [&](Collective& collective) {
    ExchangeConfig config = config_of("auto", {0, 0, 1, 1});
    config.automatic.candidates = {"half", "quantize-4"};
    config.automatic.first_plan = 2;
    config.automatic.link_mbit = 0.1;
    RankExchange world(collective, slots(), config, 5s, codecs);
    broken = collective.rank() == 0;
    const Thrown thrown = catch_error([&] {
      for (int s = 0; s < 10; ++s) step(world, collective.rank(), s, normal_value);
    });
    EXPECT_EQ(thrown.code, broken ? ErrorCode::OutOfMemory : ErrorCode::PeerLost) << thrown.message;
    ++told;
    while (told < 4) std::this_thread::sleep_for(10ms);  // nobody learns of it by somebody leaving
  });
}

/// "auto" plans among leaders; the others never learn which codec it is, and nothing is lost when it changes.
TEST(NodeLevels, AutoSwitchesAmongLeaders) {
  constexpr int kSteps = 8, kFirstPlan = 3;
  Account account(5);
  std::atomic<int> switched = 0;
  run_ranks_as_threads(account.ranks(), [&](Collective& collective) {
    ExchangeConfig config = config_of("auto", {0, 0, 0, 1, 1});
    config.checked = true;
    config.automatic.candidates = {"half", "quantize-4"};
    config.automatic.first_plan = kFirstPlan;
    config.automatic.settle = 1;
    config.automatic.link_mbit = 0.1;  // so slow that no codec's own time matters
    RankExchange world(collective, slots(), config);
    account.run(collective, world, kSteps, [&](int s, const ExchangeReport& report) {
      for (const BucketReport& bucket : report.buckets) switched += s == kSteps - 1 && bucket.codec == "quantize-4" ? 1 : 0;
    });
  });
  EXPECT_GE(switched, 2 * 3) << "the leaders' buckets with matrices";
  EXPECT_EQ(switched % 2, 0) << "both leaders alike";
  account.expect_whole(kSteps, kFirstPlan + 1, 1e-3, "auto");
}

}  // namespace
}  // namespace panther::comm
