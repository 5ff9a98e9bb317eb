// Two levels over every backend whose ranks can be threads of this process.
#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "comm/rendezvous/store.h"
#include "tests/comm/backend_why_not.h"
#include "tests/comm/levels_world.h"
#include "tests/comm/rank_world.h"

namespace panther::comm {
namespace {

using namespace testing;  // NOLINT: the test's own vocabulary

class LevelsOver : public ::testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    if (const std::string reason = why_not(GetParam()); !reason.empty()) GTEST_SKIP() << GetParam() << ": " << reason;
  }
  static void on_ranks(const Nodes& nodes, const std::function<void(Collective&, const std::function<void()>& leave)>& body) {
    make_rank_world(GetParam(), static_cast<int>(nodes.size()))->run(body);
  }
};

TEST_P(LevelsOver, SumsAreThoseOfOneLevelAndTheSameEverywhere) {
  for (const Nodes& nodes : {Nodes{0, 0, 1, 1}, Nodes{0, 0, 0, 1}, Nodes{0, 1, 1, 0}}) {
    PerRank<std::vector<std::vector<double>>> ends(4);
    on_ranks(nodes, [&](Collective& collective, const auto&) { ends.set(collective.rank(), check_sums(collective, nodes)); });
    for (int rank = 1; rank < 4; ++rank) EXPECT_EQ(ends[rank], ends[0]);
  }
}

TEST_P(LevelsOver, EveryCodecEndsWithTheSameBits) {
  const Nodes nodes{0, 0, 0, 1};
  for (const std::string& codec : codec_registry().names()) {
    PerRank<std::vector<std::vector<double>>> ends(4);
    on_ranks(nodes, [&](Collective& collective, const auto&) {
      RankExchange world(collective, slots(), config_of(codec, nodes, true));
      for (int s = 0; s < 4; ++s) EXPECT_EQ(step(world, collective.rank(), s, normal_value).contributions, 4);
      ends.set(collective.rank(), contents(world));
    });
    for (int rank = 1; rank < 4; ++rank) EXPECT_EQ(ends[rank], ends[0]) << codec;
  }
}

TEST_P(LevelsOver, ADeadRankEndsAllLevels) {
  for (const int dead : {0, 1, 3}) {
    const Nodes nodes{0, 0, 1, 1};
    std::atomic<int> told = 0;
    on_ranks(nodes, [&](Collective& collective, const std::function<void()>& leave) {
      {
        RankExchange world(collective, slots(), config_of("none", nodes), 20s);
        if (collective.rank() == dead) {
          step(world, dead, 0, normal_value);
        } else {
          // A rank may still be in its first step when the dead one has left and others have noticed.
          const Thrown thrown = catch_error([&] {
            for (int s = 0; s < 100; ++s) step(world, collective.rank(), s, normal_value);
          });
          EXPECT_EQ(thrown.code, ErrorCode::PeerLost) << thrown.message;
          ++told;
        }
      }
      leave();
    });
    EXPECT_EQ(told, 3);
  }
}

std::vector<std::string> backends() { return {"threads", "messages", "tcp", "gloo"}; }
INSTANTIATE_TEST_SUITE_P(Backends, LevelsOver, ::testing::ValuesIn(backends()), [](const auto& instance) { return instance.param; });

/// comm.deterministic: sums in rank order at each level, so the same bits over gloo as among threads.
TEST(LevelsDeterministic, GivesTheSameBitsOnEveryBackend) {
  if (const std::string reason = why_not("gloo"); !reason.empty()) GTEST_SKIP() << "gloo: " << reason;
  constexpr int kRanks = 5;
  const Nodes nodes{0, 0, 0, 1, 1};
  const std::vector<GradientSlot> large{matrix("large", 300, 300), vector("bias", 37)};  // beyond where gloo's ring begins
  std::vector<std::vector<std::vector<double>>> ends;
  for (const char* backend : {"threads", "gloo"}) {
    PerRank<std::vector<std::vector<double>>> mine(kRanks);
    const std::shared_ptr<Store> store = make_memory_store();
    std::vector<std::thread> threads;
    for (int rank = 0; rank < kRanks; ++rank) {
      threads.emplace_back([&, rank] {
        GroupOptions options;
        options.backend = backend;
        options.rank = options.local_rank = rank;
        options.size = options.local_size = kRanks;
        options.store = store;
        options.deterministic = true;
        options.timeout = std::chrono::seconds(30);
        const std::unique_ptr<Collective> collective = make_collective(options);
        ExchangeConfig config = config_of("none", nodes);
        config.bucket_bytes = 1 << 20;
        RankExchange world(*collective, large, config);
        for (int s = 0; s < 3; ++s) step(world, rank, s, normal_value);
        mine.set(rank, contents(world));
      });
    }
    for (std::thread& thread : threads) thread.join();
    for (int rank = 1; rank < kRanks; ++rank) EXPECT_EQ(mine[rank], mine[0]) << backend;
    ends.push_back(mine[0]);
  }
  EXPECT_EQ(ends[0], ends[1]);
  // In rank order inside nodes, then node by node.
  for (std::size_t slot = 0; slot < large.size(); ++slot) {
    for (std::int64_t i = 0; i < large[slot].numel; ++i) {
      const auto value = [&](int rank) { return normal_value(rank, 2, static_cast<std::int64_t>(slot), i); };
      const float expected = ((value(0) + value(1)) + value(2)) + (value(3) + value(4));
      ASSERT_EQ(ends[0][slot][static_cast<std::size_t>(i)], static_cast<double>(expected)) << large[slot].name << "[" << i << "]";
    }
  }
}

}  // namespace
}  // namespace panther::comm
