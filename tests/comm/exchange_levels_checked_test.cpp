// Checked mode and the ledger with two levels: damage at either level is found, placed and said alike by all ranks; bytes are counted where
// they are sent.
#include <gtest/gtest.h>

#include <atomic>
#include <cmath>
#include <limits>
#include <thread>

#include "comm/backends/message_collective.h"
#include "tests/comm/levels_world.h"
#include "tests/comm/queue_transport.h"

namespace panther::comm {
namespace {

using namespace testing;  // NOLINT: the test's own vocabulary

const std::vector<GradientSlot> kSlots = {{"a", 400}, {"b", 300}, {"c", 200}};

/// The groups of one rank: inside its node, and among leaders (null on others).
struct Levels {
  int rank;
  Watched* inner;
  Watched* outer;
};

/// Runs one good step and one in which `damage` is armed; returns what finish() threw on each rank.
std::vector<Thrown> damaged_step(const Nodes& nodes, const std::string& codec, bool half, const std::function<void(const Levels&)>& damage) {
  std::vector<Thrown> thrown(nodes.size());
  run_ranks_as_threads(static_cast<int>(nodes.size()), [&](Collective& collective) {
    Watched watched(collective);
    ExchangeConfig config{.codec = codec, .bucket_bytes = 1, .first_bucket_bytes = 1, .checked = true};
    config.nodes = nodes;
    config.inner_half = half;
    RankExchange world(watched, kSlots, config);
    for (int step = 0; step < 2; ++step) {
      world.exchange->begin({});
      for (std::int64_t slot = 0; slot < 3; ++slot) {
        const TensorView gradient = world.gradient(slot);
        for (std::int64_t i = 0; i < gradient.numel(); ++i) put(gradient, i, std::sin(static_cast<double>(i + 10 * slot + 7 * collective.rank())));
      }
      if (step == 1) damage({collective.rank(), watched.parts[0], watched.parts.size() > 1 ? watched.parts[1] : nullptr});
      Thrown& mine = thrown[static_cast<std::size_t>(collective.rank())];
      mine = catch_error([&] { world.exchange->finish(); });
      EXPECT_EQ(mine.any, step == 1) << mine.message;
    }
  });
  return thrown;
}

void flip_bit(const TensorView& buffer, std::int64_t byte, int bit) { buffer.as<unsigned char>()[byte] ^= static_cast<unsigned char>(1u << bit); }

/// Does it to the message of bucket 1.
std::function<void(const TensorView&)> to_bucket_one(std::function<void(const TensorView&)> damage) {
  return [damage = std::move(damage), calls = 0](const TensorView& buffer) mutable {
    if (calls++ == 1) damage(buffer);
  };
}

void expect_all(const std::vector<Thrown>& thrown, std::initializer_list<const char*> parts) {
  for (const Thrown& each : thrown) {
    EXPECT_EQ(each.code, ErrorCode::Corrupt);
    EXPECT_EQ(each.message, thrown[0].message) << "all ranks say the same";
    EXPECT_NE(each.message.find("bucket 1 "), std::string::npos) << each.message;
    for (const char* part : parts) EXPECT_NE(each.message.find(part), std::string::npos) << part << " in: " << each.message;
  }
}

const Nodes kUneven{0, 0, 0, 1, 1};

TEST(LevelsChecked, TheLowestBitOfANodesSumNamesNodeAndRank) {
  for (const bool half : {false, true}) {
    const auto thrown = damaged_step(kUneven, "none", half, [](const Levels& levels) {
      if (levels.rank == 2) levels.inner->after = to_bucket_one([](const TensorView& buffer) { flip_bit(buffer, 40, 0); });
    });
    expect_all(thrown, {"in the sum of ranks 0, 1, 2", "rank 2 ended with other bits than rank 0"});
  }
}

TEST(LevelsChecked, DamageBeforeANodesSumIsSeenThoughItsRanksAgree) {
  for (const char* codec : {"none", "quantize"}) {
    const auto thrown = damaged_step(kUneven, codec, false, [](const Levels& levels) {
      if (levels.rank == 4) levels.inner->before = to_bucket_one([](const TensorView& buffer) { flip_bit(buffer, 35, 6); });  // the highest exponent bit
    });
    expect_all(thrown, {"in the sum of ranks 3, 4", "all ranks hold the same damaged sum"});
  }
}

TEST(LevelsChecked, DamageBetweenNodesNamesTheLeader) {
  const auto thrown = damaged_step({0, 0, 1, 1, 2, 2}, "none", false, [](const Levels& levels) {
    if (levels.rank == 4) levels.outer->after = to_bucket_one([](const TensorView& buffer) { flip_bit(buffer, 40, 0); });
  });
  expect_all(thrown, {"between nodes", "rank 4 ended with other bits than rank 0"});
}

TEST(LevelsChecked, WithTwoNodesBothLeadersAreNamed) {
  const auto thrown = damaged_step(kUneven, "half", true, [](const Levels& levels) {
    if (levels.rank == 3) levels.outer->after = to_bucket_one([](const TensorView& buffer) { flip_bit(buffer, 40, 0); });
  });
  expect_all(thrown, {"between nodes", "rank 3", "rank 0", "no majority"});
}

TEST(LevelsChecked, DamageOnTheWayBackNamesTheRank) {
  for (const bool half : {false, true}) {
    const auto thrown = damaged_step(kUneven, "none", half, [](const Levels& levels) {
      if (levels.rank == 1) levels.inner->spread = to_bucket_one([](const TensorView& buffer) { flip_bit(buffer, 40, 0); });
    });
    expect_all(thrown, {"after both levels", "rank 1 ended with other bits than rank 0"});
  }
}

void leave_out(const TensorView& buffer) { std::memset(buffer.data, 0, static_cast<std::size_t>(buffer.bytes())); }

TEST(LevelsChecked, ARankLeftOutIsNamed) {
  const auto thrown = damaged_step(kUneven, "none", false, [](const Levels& levels) {
    if (levels.rank == 2) levels.inner->before = to_bucket_one(leave_out);
  });
  expect_all(thrown, {"contribution of rank 2 was not counted once"});
}

TEST(LevelsChecked, ANodeLeftOutIsNamedByItsFirstRank) {
  const auto thrown = damaged_step(kUneven, "none", false, [](const Levels& levels) {
    if (levels.rank == 3) levels.outer->before = to_bucket_one(leave_out);
  });
  expect_all(thrown, {"contribution of rank 3 was not counted once"});
}

TEST(LevelsChecked, NoFalseAlarms) {
  for (const Nodes& nodes : kTopologies) {
    for (const std::string& codec : codec_registry().names()) {
      for (const bool half : {false, true}) {
        run_ranks_as_threads(static_cast<int>(nodes.size()), [&](Collective& collective) {
          ExchangeConfig config = config_of(codec, nodes, half);
          config.checked = true;
          RankExchange world(collective, slots(), config);
          for (int s = 0; s < 3; ++s) {
            const Thrown thrown = catch_error([&] { EXPECT_EQ(step(world, collective.rank(), s, normal_value).contributions, collective.size()); });
            EXPECT_FALSE(thrown.any) << codec << (half ? " half" : "") << ": " << thrown.message;
          }
        });
      }
    }
  }
}

TEST(LevelsChecked, NoFalseAlarmsForSizesThatCancel) {
  for (const char* codec : {"none", "half"}) {
    for (const DType dtype : {DType::f64, DType::f32, DType::bf16, DType::f16}) {
      run_ranks_as_threads(5, [&](Collective& collective) {
        ExchangeConfig config{.codec = codec, .checked = true};
        config.nodes = kUneven;
        RankExchange world(collective, {{"a", 2000, dtype}}, config);
        for (int s = 0; s < 6; ++s) {
          const double scale = std::pow(10.0, dtype == DType::f16 ? -s : 8 - 8 * s);
          const Thrown thrown = catch_error([&] {
            step(world, collective.rank(), s, [&](int rank, std::int64_t number, std::int64_t, std::int64_t i) {
              return ((rank + i) % 2 == 0 ? 1 : -1) * scale * (1 + std::sin(static_cast<double>(i * (number + 1) + rank)));
            });
          });
          EXPECT_FALSE(thrown.any) << thrown.message;
        }
      });
    }
  }
}

/// nan and inf are the control word's matter, not damage.
TEST(LevelsChecked, NonFiniteGradientsAreNotDamage) {
  for (const char* codec : {"none", "top_k", "powersgd"}) {
    for (const double poison : {std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::infinity()}) {
      run_ranks_as_threads(5, [&](Collective& collective) {
        ExchangeConfig config = config_of(codec, kUneven);
        config.checked = true;
        RankExchange world(collective, slots(), config);
        for (int s = 0; s < 3; ++s) {
          const Thrown thrown = catch_error([&] {
            step(world, collective.rank(), s, [&](int rank, std::int64_t number, std::int64_t slot, std::int64_t i) {
              return number == 1 && rank == 4 && slot == 3 && i == 7 ? poison : static_cast<double>(normal_value(rank, number, slot, i));
            });
            if (s == 1) world.exchange->reject_step();
          });
          EXPECT_FALSE(thrown.any) << codec << " step " << s << ": " << thrown.message;
        }
      });
    }
  }
}

TEST(LevelsLedger, CountsTheCallsOfEveryGroup) {
  for (const Nodes& nodes : kTopologies) {
    for (const std::string& codec : codec_registry().names()) {
      for (const bool checked : {false, true}) {
        run_ranks_as_threads(static_cast<int>(nodes.size()), [&](Collective& collective) {
          Watched watched(collective);
          ExchangeConfig config = config_of(codec, nodes, checked);
          config.checked = checked;
          RankExchange world(watched, slots(), config);
          for (int s = 0; s < 3; ++s) {
            std::int64_t inside = watched.parts[0]->counted_bytes, between = watched.counted_bytes, calls = watched.calls + watched.parts[0]->calls;
            if (watched.parts.size() > 1) between += watched.parts[1]->counted_bytes, calls += watched.parts[1]->calls;
            const ExchangeReport report = step(world, collective.rank(), s, normal_value);
            inside = watched.parts[0]->counted_bytes - inside;
            between = watched.counted_bytes - between + (watched.parts.size() > 1 ? watched.parts[1]->counted_bytes : 0);
            calls = watched.calls + watched.parts[0]->calls + (watched.parts.size() > 1 ? watched.parts[1]->calls : 0) - calls;
            EXPECT_EQ(report.bytes_inside, inside) << codec << " rank " << collective.rank();
            EXPECT_EQ(report.bytes_sent - report.bytes_inside, between) << codec << " rank " << collective.rank();
            EXPECT_EQ(report.collectives, calls) << codec << " rank " << collective.rank();
          }
        });
      }
    }
  }
}

/// Bytes that every rank's transport carried in `steps` steps and the start, and the ledger's in the steps from `from` on.
struct Carried {
  std::vector<std::int64_t> transport, ledger;
};
Carried carried(const Nodes& nodes, const ExchangeConfig& config, int steps, int from) {
  const auto ranks = static_cast<int>(nodes.size());
  QueueCounts counts;
  std::vector<std::unique_ptr<Transport>> transports = make_queue_transports(ranks, &counts);
  Carried result{{}, std::vector<std::int64_t>(nodes.size(), 0)};
  std::vector<std::thread> threads;
  for (int rank = 0; rank < ranks; ++rank) {
    threads.emplace_back([&, rank, transport = std::move(transports[static_cast<std::size_t>(rank)])]() mutable {
      const std::unique_ptr<Collective> collective = make_message_collective(std::move(transport));
      RankExchange world(*collective, slots(), config);
      for (int s = 0; s < steps; ++s) {
        const ExchangeReport report = step(world, rank, s, normal_value);
        if (s >= from) result.ledger[static_cast<std::size_t>(rank)] += report.bytes_sent;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  result.transport = counts.bytes_sent;
  return result;
}

/// Over messages: what the ledger says is what the transports carried, rank by rank. 8192 bytes go down a tree, 400000 along the ranks.
TEST(LevelsLedger, IsWhatTransportsCarry) {
  for (const Nodes& nodes : {Nodes{0, 0, 1, 1}, Nodes{0, 0, 0, 1}, Nodes{0, 0, 0, 0, 1, 1, 1, 1}}) {
    for (const char* codec : {"none", "half", "quantize", "powersgd", "top_k", "row_sparse"}) {
      for (const std::int64_t bucket_bytes : {8192, 400000}) {
        ExchangeConfig config = config_of(codec, nodes);
        config.bucket_bytes = bucket_bytes;
        config.checked = bucket_bytes == 8192;
        const Carried few = carried(nodes, config, 2, 2), more = carried(nodes, config, 6, 2);
        for (std::size_t rank = 0; rank < nodes.size(); ++rank) {
          EXPECT_EQ(more.transport[rank] - few.transport[rank], more.ledger[rank]) << codec << " rank " << rank << " of " << nodes.size() << ", buckets of " << bucket_bytes;
        }
      }
    }
  }
}

}  // namespace
}  // namespace panther::comm
