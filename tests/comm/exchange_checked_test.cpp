// Checked mode sees damage wherever it happens: after the sum on one rank, before it, on all ranks alike, or a rank left out.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "comm/exchange/exchange.h"
#include "tests/comm/exchange_world.h"

namespace panther::comm {
namespace {

using testing::catch_error;
using testing::RankExchange;
using testing::Thrown;
using testing::Watched;

const std::vector<GradientSlot> kSlots = {{"a", 400}, {"b", 300}, {"c", 200}};

/// Runs one good step and one in which `damage(watched, world)` is armed; returns what finish() threw on each rank.
std::vector<Thrown> damaged_step(int ranks, const std::string& codec, const std::function<void(Watched&, RankExchange&)>& damage) {
  std::vector<Thrown> thrown(static_cast<std::size_t>(ranks));
  run_ranks_as_threads(ranks, [&](Collective& collective) {
    Watched watched(collective);
    RankExchange world(watched, kSlots, {.codec = codec, .bucket_bytes = 1, .first_bucket_bytes = 1, .checked = true});
    for (int step = 0; step < 2; ++step) {
      world.zero();
      world.exchange->begin({});
      for (std::int64_t slot = 0; slot < 3; ++slot) {
        const TensorView gradient = world.gradient(slot);
        for (std::int64_t i = 0; i < gradient.numel(); ++i) testing::put(gradient, i, std::sin(static_cast<double>(i + 10 * slot + 7 * collective.rank())));
      }
      if (step == 1) damage(watched, world);
      Thrown& mine = thrown[static_cast<std::size_t>(collective.rank())];
      mine = catch_error([&] { world.exchange->finish(); });
      EXPECT_EQ(mine.any, step == 1) << mine.message;
    }
  });
  return thrown;
}

void flip_bit(const TensorView& buffer, std::int64_t byte, int bit) { buffer.as<unsigned char>()[byte] ^= static_cast<unsigned char>(1u << bit); }

void expect_all(const std::vector<Thrown>& thrown, std::initializer_list<const char*> parts) {
  for (const Thrown& each : thrown) {
    EXPECT_TRUE(each.any);
    EXPECT_EQ(each.code, ErrorCode::Corrupt);
    EXPECT_EQ(each.message, thrown[0].message) << "all ranks say the same";
    for (const char* part : parts) EXPECT_NE(each.message.find(part), std::string::npos) << part << " in: " << each.message;
  }
}

TEST(ExchangeChecked, TheLowestBitOnOneRankNamesBucketAndRank) {
  for (const char* codec : {"none", "half"}) {
    const auto thrown = damaged_step(3, codec, [](Watched& watched, RankExchange&) {
      if (watched.rank() != 2) return;
      watched.after = [calls = 0](const TensorView& buffer) mutable {
        if (calls++ == 1) flip_bit(buffer, 40, 0);
      };
    });
    expect_all(thrown, {"bucket 1", "rank 2 ended with other bits"});
  }
}

TEST(ExchangeChecked, WithTwoRanksBothSidesAreNamed) {
  const auto thrown = damaged_step(2, "none", [](Watched& watched, RankExchange&) {
    if (watched.rank() == 0) watched.after = [](const TensorView& buffer) { flip_bit(buffer, 3, 4); };
  });
  expect_all(thrown, {"bucket 0", "rank 1", "rank 0", "no majority"});
}

TEST(ExchangeChecked, DamageBeforeTheSumIsSeenThoughAllRanksAgree) {
  for (const char* codec : {"none", "half"}) {
    const auto thrown = damaged_step(3, codec, [](Watched& watched, RankExchange&) {
      if (watched.rank() != 1) return;
      watched.before = [calls = 0](const TensorView& buffer) mutable {
        if (calls++ == 2) flip_bit(buffer, static_cast<std::int64_t>(size_of(buffer.dtype)) * 9 - 1, 6);  // the highest exponent bit
      };
    });
    expect_all(thrown, {"bucket 2", "all ranks hold the same damaged sum"});
  }
}

TEST(ExchangeChecked, ARankLeftOutIsNamed) {
  const auto thrown = damaged_step(4, "none", [](Watched& watched, RankExchange&) {
    if (watched.rank() != 3) return;
    watched.before = [calls = 0](const TensorView& buffer) mutable {
      if (calls++ == 1) std::memset(buffer.data, 0, static_cast<std::size_t>(buffer.bytes()));
    };
  });
  expect_all(thrown, {"bucket 1", "contribution of rank 3 was not counted once"});
}

TEST(ExchangeChecked, ARankCountedTwiceIsNamed) {
  const auto thrown = damaged_step(2, "none", [](Watched& watched, RankExchange&) {
    if (watched.rank() != 1) return;
    watched.before = [calls = 0](const TensorView& buffer) mutable {
      if (calls++ > 0) return;
      for (std::int64_t i = 0; i < buffer.numel(); ++i) buffer.as<float>()[i] *= 2;
    };
  });
  expect_all(thrown, {"bucket 0", "contribution of rank 1 was not counted once"});
}

TEST(ExchangeChecked, UncheckedStepsStillSeeARankMissingFromTheFirstMessage) {
  run_ranks_as_threads(3, [](Collective& collective) {
    Watched watched(collective);
    RankExchange world(watched, kSlots, {});
    if (collective.rank() == 1) {
      watched.before = [](const TensorView& buffer) { std::memset(buffer.data, 0, static_cast<std::size_t>(buffer.bytes())); };
    }
    world.exchange->begin({});
    const Thrown thrown = catch_error([&] { world.exchange->finish(); });
    EXPECT_EQ(thrown.code, ErrorCode::Corrupt);
    EXPECT_NE(thrown.message.find("contribution of rank 1"), std::string::npos) << thrown.message;
  });
}

/// Rounding alone must never be called damage: gradients of wildly different sizes and cancelling sums.
TEST(ExchangeChecked, NoFalseAlarms) {
  for (const int ranks : {2, 3, 7}) {
    for (const char* codec : {"none", "half"}) {
      for (const DType dtype : {DType::f64, DType::f32, DType::bf16, DType::f16}) {
        run_ranks_as_threads(ranks, [&](Collective& collective) {
          RankExchange world(collective, {{"a", 2000, dtype}}, {.codec = codec, .checked = true});
          for (int step = 0; step < 6; ++step) {
            world.exchange->begin({});
            const TensorView gradient = world.gradient(0);
            const double scale = std::pow(10.0, dtype == DType::f16 ? -step : 8 - 8 * step);
            for (std::int64_t i = 0; i < gradient.numel(); ++i) {
              const double sign = (collective.rank() + i) % 2 == 0 ? 1 : -1;
              testing::put(gradient, i, sign * scale * (1 + std::sin(static_cast<double>(i * (step + 1) + collective.rank()))));
            }
            const Thrown thrown = catch_error([&] { world.exchange->finish(); });
            EXPECT_FALSE(thrown.any) << thrown.message;
          }
        });
      }
    }
  }
}

}  // namespace
}  // namespace panther::comm
