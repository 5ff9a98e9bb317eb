// Two levels: sums inside nodes, codecs among their leaders; ranks as threads.
#include <gtest/gtest.h>

#include <atomic>
#include <cmath>
#include <limits>
#include <random>
#include <thread>

#include "comm/exchange/node_levels.h"
#include "tests/comm/codec_world.h"

namespace panther::comm {
namespace {

using namespace testing;  // NOLINT: the test's own vocabulary

using Nodes = std::vector<int>;

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

std::vector<GradientSlot> slots(DType dtype = DType::f32) {
  return {matrix("wide", 40, 130, dtype), vector("bias", 37, dtype), matrix("small", 5, 7, dtype), matrix("tall", 201, 33, dtype), vector("norm", 1, dtype), matrix("square", 64, 64, dtype)};
}

ExchangeConfig config_of(const std::string& codec, const Nodes& nodes, bool half = false) {
  ExchangeConfig config{.codec = codec, .bucket_bytes = 16384, .first_bucket_bytes = 8192, .settings = {.density = 0.05, .min_numel = 256}};
  config.nodes = nodes;
  config.inner_half = half;
  return config;
}

const std::vector<Nodes> kTopologies{{0, 0, 1, 1}, {0, 0, 0, 1}, {0, 1, 1, 0}, {0, 0, 1, 1, 2, 2, 3, 3}, {0, 1, 1, 1, 1}};

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

/// Every codec: the same bits everywhere, and nothing is lost: what leaders keep and what was decoded is what all ranks brought.
TEST(NodeLevels, EveryCodecWorksAmongLeaders) {
  for (const Nodes& nodes : {Nodes{0, 0, 1, 1}, Nodes{0, 0, 0, 1}}) {
    for (const std::string& codec : codec_registry().names()) {
      constexpr int kRanks = 4, kSteps = 3;
      PerRank<std::vector<std::vector<double>>> ends(kRanks), sums(kRanks);
      PerRank<SavedState> states(kRanks);
      run_ranks_as_threads(kRanks, [&](Collective& collective) {
        RankExchange world(collective, slots(), config_of(codec, nodes));
        std::vector<std::vector<double>> sum;
        for (int s = 0; s < kSteps; ++s) {
          EXPECT_FALSE(step(world, collective.rank(), s, normal_value).control.nonfinite);
          const auto got = contents(world);
          if (sum.empty()) sum = got;
          else for (std::size_t slot = 0; slot < got.size(); ++slot) for (std::size_t i = 0; i < got[slot].size(); ++i) sum[slot][i] += got[slot][i];
        }
        ends.set(collective.rank(), contents(world));
        sums.set(collective.rank(), sum);
        states.set(collective.rank(), save(*world.exchange));
        EXPECT_EQ(world.exchange->state_holders(), 2);
      });
      for (int rank = 1; rank < kRanks; ++rank) EXPECT_EQ(ends[rank], ends[0]) << codec;
      for (std::size_t slot = 0; slot < slots().size(); ++slot) {
        const std::int64_t numel = slots()[slot].numel;
        std::vector<double> owed(static_cast<std::size_t>(numel), 0.0);
        for (int rank = 0; rank < kRanks; ++rank) {
          const auto residual = residual_of(states[rank], slots()[slot].name, numel);
          for (std::size_t i = 0; i < owed.size(); ++i) owed[i] += static_cast<double>(residual[i]);
        }
        for (std::int64_t i = 0; i < numel; ++i) {
          double brought = 0, size = 0;
          for (int s = 0; s < kSteps; ++s) {
            for (int rank = 0; rank < kRanks; ++rank) {
              brought += static_cast<double>(normal_value(rank, s, static_cast<std::int64_t>(slot), i));
              size += std::abs(static_cast<double>(normal_value(rank, s, static_cast<std::int64_t>(slot), i)));
            }
          }
          const double rounding = codec == "half" ? 2 * 0x1p-8 * size : 1e-3;
          ASSERT_NEAR(sums[0][slot][static_cast<std::size_t>(i)] + owed[static_cast<std::size_t>(i)], brought, rounding) << codec << " " << slots()[slot].name << "[" << i << "]";
        }
      }
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

TEST(NodeLevels, AnyOrderOfReadinessGivesTheSameBits) {
  const Nodes nodes{0, 0, 0, 1, 1};
  PerRank<std::vector<std::vector<double>>> ends(5);
  run_ranks_as_threads(5, [&](Collective& collective) {
    RankExchange world(collective, slots(), config_of("none", nodes));
    std::mt19937 random(static_cast<unsigned>(collective.rank()));
    for (int s = 0; s < 300; ++s) {
      world.exchange->begin({});
      fill(world, collective.rank(), s, normal_value);
      std::vector<std::int64_t> order(slots().size());
      for (std::size_t i = 0; i < order.size(); ++i) order[i] = static_cast<std::int64_t>(i);
      std::shuffle(order.begin(), order.end(), random);
      for (const std::int64_t slot : order) {
        if (random() % 16 == 0) std::this_thread::sleep_for(std::chrono::microseconds(random() % 200));
        world.exchange->mark_ready(slot);
      }
      EXPECT_EQ(world.exchange->finish().contributions, 5);
    }
    ends.set(collective.rank(), contents(world));
  });
  for (int rank = 1; rank < 5; ++rank) EXPECT_EQ(ends[rank], ends[0]);
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

TEST(NodeLevels, WhatDoesNotFitIsRefused) {
  run_ranks_as_threads(4, [&](Collective& collective) {
    ExchangeConfig checked = config_of("none", {0, 0, 1, 1});
    checked.checked = true;
    EXPECT_NE(catch_error([&] { RankExchange(collective, slots(), checked); }).message.find("comm.hierarchy"), std::string::npos);
  });
}

}  // namespace
}  // namespace panther::comm
