// What every codec of the registry promises, whatever it is: walks codec_registry() over ranks as threads.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "kernels/philox.h"
#include "core/text.h"
#include "tests/comm/codec_world.h"

namespace panther::comm {
namespace {

using namespace testing;  // NOLINT: the test's own vocabulary

/// A codec as a user may set it, and what its error is made of.
struct Variant {
  std::string label;
  std::string codec;
  CodecSettings settings;
  double relative_error = 0;  ///< of an element per rank, where nothing remembers it (rounding of the wire)
};

std::vector<Variant> variants() {
  std::vector<Variant> result;
  for (const std::string& name : codec_registry().names()) {
    const double rounding = name == "half" ? 0x1p-7 : 0;
    result.push_back({name, name, {.density = 0.05, .min_numel = 256}, rounding});
  }
  for (const std::int64_t bits : {1, 3, 8}) result.push_back({concat("quantize_", bits), "quantize", {.bits = bits, .block = 64, .min_numel = 256}});
  result.push_back({"quantize_random", "quantize", {.bits = 2, .block = 64, .stochastic = true, .min_numel = 256}});
  result.push_back({"sign_momentum", "sign", {.momentum = 0.75, .min_numel = 256}});
  result.push_back({"powersgd_1", "powersgd", {.rank = 1, .min_numel = 256}});
  result.push_back({"powersgd_alternating", "powersgd", {.rank = 3, .alternating = true, .min_numel = 256}});
  // With a wire that is smaller than these matrices; on normal values the gate sends samples at most steps.
  result.push_back({"count_sketch_1", "count_sketch", {.density = 0.02, .sketch_rows = 1, .sketch_columns = 8, .min_numel = 256}});
  result.push_back({"count_sketch_3", "count_sketch", {.density = 0.02, .sketch_rows = 3, .sketch_columns = 6, .min_numel = 256}});
  return result;
}

/// Matrices that every codec compresses, some that none does, and vectors, over three buckets.
std::vector<GradientSlot> slots(DType dtype = DType::f32) {
  return {matrix("wide", 40, 130, dtype), vector("bias", 37, dtype), matrix("small", 5, 7, dtype), matrix("tall", 201, 33, dtype),
          vector("norm", 1, dtype), matrix("square", 64, 64, dtype), vector("empty", 0, dtype)};
}

ExchangeConfig config_of(const Variant& variant, bool one_bucket = false, bool checked = false) {
  const std::int64_t bytes = one_bucket ? 1 << 20 : 16384;
  return {.codec = variant.codec, .bucket_bytes = bytes, .first_bucket_bytes = bytes / 2, .checked = checked, .settings = variant.settings};
}

class CodecContract : public ::testing::TestWithParam<std::tuple<Variant, int>> {
 protected:
  Variant variant() const { return std::get<0>(GetParam()); }
  int ranks() const { return std::get<1>(GetParam()); }
};

constexpr double kUnit = 0x1p-24;

/// What a rank brings to a step: its gradient or, where the codec keeps a running mean of it, that.
class Brought {
 public:
  Brought(const Variant& variant, const std::vector<GradientSlot>& all, int ranks, Gradient gradient)
      : keep_(variant.codec == "sign" ? variant.settings.momentum : 0), gradient_(std::move(gradient)), values_(static_cast<std::size_t>(ranks)) {
    for (auto& of_rank : values_) {
      for (const GradientSlot& slot : all) of_rank.emplace_back(static_cast<std::size_t>(slot.numel), 0.0);
    }
  }
  /// Once per step, rank and slot. `compressed`: others are exact and have no mean.
  const std::vector<double>& at(int rank, std::int64_t number, std::size_t slot, bool compressed) {
    std::vector<double>& values = values_[static_cast<std::size_t>(rank)][slot];
    const double keep = compressed ? keep_ : 0;
    for (std::size_t i = 0; i < values.size(); ++i) {
      values[i] = keep * values[i] + (1 - keep) * gradient_(rank, number, static_cast<std::int64_t>(slot), static_cast<std::int64_t>(i));
    }
    return values;
  }

 private:
  double keep_;
  Gradient gradient_;
  std::vector<std::vector<std::vector<double>>> values_;
};

/// sum_w decoded + sum_w e_w' = sum_w (g_w + e_w), at every step; what is exact stays exact.
void expect_nothing_lost(const Variant& variant, int p, const std::vector<GradientSlot>& all, const Gradient& gradient, int steps) {
  PerRank<std::vector<std::vector<std::vector<double>>>> decoded(p);
  PerRank<std::vector<SavedState>> states(p);
  run_ranks(p, [&](Collective& collective) {
    RankExchange world(collective, all, config_of(variant));
    std::vector<std::vector<std::vector<double>>> seen;
    std::vector<SavedState> saved{save(*world.exchange)};
    for (int s = 0; s < steps; ++s) {
      const ExchangeReport report = step(world, collective.rank(), s, gradient);
      EXPECT_FALSE(report.control.nonfinite);
      EXPECT_EQ(report.contributions, p);
      double losses = 0;
      for (int rank = 0; rank < p; ++rank) losses += 1.0 / (3 + rank);
      EXPECT_EQ(report.loss_sum, losses);
      seen.push_back(contents(world));
      saved.push_back(save(*world.exchange));
    }
    decoded.set(collective.rank(), seen);
    states.set(collective.rank(), saved);
  });
  Brought brought(variant, all, p, gradient);
  for (std::size_t s = 0; s < static_cast<std::size_t>(steps); ++s) {
    for (std::size_t slot = 0; slot < all.size(); ++slot) {
      const std::int64_t numel = all[slot].numel;
      const bool compressed = states[0][s + 1].contains(all[slot].name + "/residual");
      std::vector<double> expected(static_cast<std::size_t>(numel), 0.0), got = decoded[0][s][slot];
      double largest = 0;
      for (int rank = 0; rank < p; ++rank) {
        const std::vector<double>& given = brought.at(rank, static_cast<std::int64_t>(s), slot, compressed);
        const std::vector<float> before = residual_of(states[rank][s], all[slot].name, numel);
        const std::vector<float> after = residual_of(states[rank][s + 1], all[slot].name, numel);
        for (std::size_t i = 0; i < expected.size(); ++i) {
          const double sum = given[i] + static_cast<double>(before[i]);
          largest = std::max(largest, std::abs(sum));
          expected[i] += sum;
          got[i] += static_cast<double>(after[i]);
        }
      }
      // Rounding of sums of p terms, and of products of factors, whose entries are bounded by the norm of a column of the matrix.
      const double column = std::sqrt(static_cast<double>(std::max<std::int64_t>(1, all[slot].rows))) * largest;
      const double tolerance = 32 * kUnit * p * (variant.codec == "powersgd" ? column : largest) + variant.relative_error * p * largest;
      for (std::size_t i = 0; i < expected.size(); ++i) ASSERT_NEAR(got[i], expected[i], tolerance) << all[slot].name << "[" << i << "], step " << s;
    }
    for (int rank = 1; rank < p; ++rank) EXPECT_EQ(decoded[rank][s], decoded[0][s]) << "rank " << rank;
  }
}

TEST_P(CodecContract, NothingIsLost) { expect_nothing_lost(variant(), ranks(), slots(), normal_value, 4); }

/// From one element to a million: below a block, a word or a piece of the transform, at their edges and across them, and between
/// gradients that travel exactly.
TEST(CodecContractTest, NothingIsLostAtAnySize) {
  const Gradient uniform = [](int rank, std::int64_t s, std::int64_t slot, std::int64_t i) {
    const std::uint64_t key = mix64(static_cast<std::uint64_t>(rank * 64 + s), static_cast<std::uint64_t>(slot));
    const std::uint64_t word = mix64(key, static_cast<std::uint64_t>(i));
    return static_cast<double>(static_cast<std::int32_t>(word >> 32)) * 0x1p-31;
  };
  for (Variant variant : variants()) {
    SCOPED_TRACE(variant.label);
    variant.settings.min_numel = 0;
    variant.settings.rank = std::min<std::int64_t>(variant.settings.rank, 2);
    std::vector<GradientSlot> all;
    for (const std::int64_t numel : {1, 2, 8, 128, 1025}) all.push_back(vector(concat("v", numel), numel));
    for (const auto& [rows, columns] : {std::pair{2, 2}, {2, 4}, {3, 5}, {7, 9}, {8, 8}, {5, 13}, {25, 41}, {63, 65}, {64, 64}, {17, 241},
                                        {1000, 1000}}) {
      all.push_back(matrix(concat("m", rows, "x", columns), rows, columns));
      all.push_back(vector(concat("between", rows, "x", columns), 3));
    }
    expect_nothing_lost(variant, 2, all, uniform, 2);
  }
}

TEST_P(CodecContract, SmallIntegersInVectorsAndSmallMatricesAreExact) {
  run_ranks(ranks(), [&](Collective& collective) {
    RankExchange world(collective, slots(), config_of(variant()));
    step(world, collective.rank(), 0, [](int rank, std::int64_t, std::int64_t slot, std::int64_t i) { return (rank + 1) * ((slot + i) % 8); });
    const int factor = ranks() * (ranks() + 1) / 2;
    for (const std::int64_t slot : {1, 2, 4}) {
      for (std::int64_t i = 0; i < world.slots[static_cast<std::size_t>(slot)].numel; ++i) ASSERT_EQ(get(world.gradient(slot), i), factor * ((slot + i) % 8));
    }
  });
}

/// A nan or inf anywhere on one rank: all ranks report it, see it, and have the state of the step before, bit for bit.
TEST_P(CodecContract, NonFiniteGradientsChangeNoState) {
  const int p = ranks();
  for (const double poison : {std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::infinity()}) {
    for (const std::int64_t bad_slot : {0, 1, 3}) {
      run_ranks(p, [&](Collective& collective) {
        RankExchange world(collective, slots(), config_of(variant()));
        RankExchange twin(collective, slots(), config_of(variant()));
        for (int s = 0; s < 2; ++s) {
          step(world, collective.rank(), s, normal_value);
          step(twin, collective.rank(), s, normal_value);
        }
        const SavedState before = save(*world.exchange);
        const ExchangeReport report = step(world, collective.rank(), 2, [&](int rank, std::int64_t number, std::int64_t slot, std::int64_t i) {
          return rank == p - 1 && slot == bad_slot && i == 17 ? poison : static_cast<double>(normal_value(rank, number, slot, i));
        });
        bool finite = true;
        for (const auto& values : contents(world)) {
          for (const double value : values) finite = finite && std::isfinite(value);
        }
        EXPECT_FALSE(finite) << "the trainer would apply this step";
        if (before.size() > 1 && on_host()) {
          EXPECT_TRUE(report.control.nonfinite) << "a codec with state looks, and on a device the caller does";
        }
        if (!report.control.nonfinite) world.exchange->reject_step();
        EXPECT_EQ(save(*world.exchange), before);
        step(world, collective.rank(), 3, normal_value);
        step(twin, collective.rank(), 3, normal_value);
        EXPECT_EQ(contents(world), contents(twin));
      });
    }
  }
}

TEST_P(CodecContract, AControlWordThatSaysNonFiniteChangesNoState) {
  run_ranks(ranks(), [&](Collective& collective) {
    RankExchange world(collective, slots(), config_of(variant()));
    step(world, collective.rank(), 0, normal_value);
    const SavedState before = save(*world.exchange);
    world.exchange->begin({});
    world.exchange->set_control({.nonfinite = collective.rank() == 0}, 0);
    fill(world, collective.rank(), 1, normal_value);
    EXPECT_TRUE(world.exchange->finish().control.nonfinite);
    EXPECT_EQ(save(*world.exchange), before);
    step(world, collective.rank(), 1, normal_value);
    world.exchange->reject_step();
    world.exchange->reject_step();
    EXPECT_EQ(save(*world.exchange), before);
  });
}

/// Saved, loaded into new exchanges: the same bits go on.
TEST_P(CodecContract, StateContinuesBitForBit) {
  run_ranks(ranks(), [&](Collective& collective) {
    RankExchange whole(collective, slots(), config_of(variant()));
    RankExchange first(collective, slots(), config_of(variant()));
    for (int s = 0; s < 3; ++s) {
      step(whole, collective.rank(), s, normal_value);
      step(first, collective.rank(), s, normal_value);
    }
    RankExchange second(collective, slots(), config_of(variant()));
    load(*second.exchange, save(*first.exchange));
    EXPECT_EQ(save(*second.exchange), save(*whole.exchange));
    for (int s = 3; s < 6; ++s) {
      step(whole, collective.rank(), s, normal_value);
      step(second, collective.rank(), s, normal_value);
      ASSERT_EQ(contents(second), contents(whole)) << "step " << s;
    }
    EXPECT_EQ(save(*second.exchange), save(*whole.exchange));
  });
}

/// A rank whose state got lost: nobody goes on, instead of everybody with collectives that do not fit.
TEST_P(CodecContract, StateOfOtherStepsOrFactorsIsRefusedByAllRanks) {
  run_ranks(ranks(), [&](Collective& collective) {
    RankExchange first(collective, slots(), config_of(variant()));
    for (int s = 0; s < 3; ++s) step(first, collective.rank(), s, normal_value);
    const SavedState state = save(*first.exchange);
    RankExchange second(collective, slots(), config_of(variant()));
    const auto refused = [&](const SavedState& own) {
      try {
        load(*second.exchange, own);
      } catch (const Error& error) {
        EXPECT_EQ(error.code(), ErrorCode::InvalidArgument);
        EXPECT_NE(error.message().find("rank 1 has"), std::string::npos) << error.message();
        return true;
      }
      return false;
    };
    const bool damaged = collective.rank() == 1;
    SavedState no_step = state;
    if (damaged) no_step.erase("exchange/step");
    // Two ranks have no majority: the message starts from rank 0's value.
    EXPECT_TRUE(refused(no_step));
    SavedState other_factors = state;
    bool shared = false;
    for (auto& [name, bytes] : other_factors) {
      if (name.find("/powersgd.") == std::string::npos) continue;
      shared = true;
      if (damaged) bytes.front() ^= std::byte{1};
    }
    EXPECT_EQ(refused(other_factors), shared);
    SavedState fresh = state;
    fresh.erase("exchange/step");
    load(*second.exchange, fresh);  // everywhere missing: step 0, as a new exchange
    EXPECT_EQ(save(*second.exchange).at("exchange/step"), std::vector<std::byte>(8, std::byte{0}));
  });
}

/// A plan's bytes are the ledger's where the collective sends as a ring does.
TEST_P(CodecContract, PlannedBytesAreTheLedgers) {
  run_ranks(ranks(), [&](Collective& collective) {
    const ExchangeConfig config = config_of(variant());
    RankExchange world(collective, slots(), config);
    std::int64_t sent = 0, slack = 0;
    for (int s = 0; s < 2; ++s) {
      const ExchangeReport report = step(world, collective.rank(), s, normal_value);
      sent += report.bytes_sent;
      slack += report.collectives * 16 * ranks();  // chunks of a ring differ by an element
    }
    const std::int64_t planned = planned_bytes_sent(world.plan, config, plain_allocator(), ranks());
    EXPECT_GE(2 * planned + slack, sent);
    if (config.codec != "row_sparse" && config.codec != "count_sketch") {
      EXPECT_LE(2 * planned, sent + slack);
    }
  });
}

/// What a codec says of itself is what it saves.
TEST_P(CodecContract, StatelessCodecsSaveNothing) {
  run_ranks(ranks(), [&](Collective& collective) {
    RankExchange world(collective, slots(), config_of(variant()));
    step(world, collective.rank(), 0, normal_value);
    if (world.exchange->stateless()) {
      EXPECT_EQ(save(*world.exchange).size(), 1u) << "the step alone";
    }
    const std::string codec = config_of(variant()).codec;
    EXPECT_EQ(world.exchange->stateless(), codec == "none" || codec == "half" || codec == "row_sparse");
  });
}

/// State belongs to parameters: other buckets (PyTorch's hooks key it by bucket index and lose it) go on with the same bits. Two
/// ranks, because a sum of two terms does not depend on how a message is cut.
TEST(CodecContractTest, ReBucketingKeepsState) {
  for (const Variant& variant : variants()) {
    SCOPED_TRACE(variant.label);
    run_ranks(2, [&](Collective& collective) {
      RankExchange whole(collective, slots(), config_of(variant));
      RankExchange first(collective, slots(), config_of(variant));
      ASSERT_GT(whole.plan.buckets.size(), 2u);
      for (int s = 0; s < 3; ++s) {
        step(whole, collective.rank(), s, normal_value);
        step(first, collective.rank(), s, normal_value);
      }
      RankExchange second(collective, slots(), config_of(variant, true));
      ASSERT_EQ(second.plan.buckets.size(), 1u);
      load(*second.exchange, save(*first.exchange));
      for (int s = 3; s < 6; ++s) {
        step(whole, collective.rank(), s, normal_value);
        step(second, collective.rank(), s, normal_value);
        ASSERT_EQ(contents(second), contents(whole)) << variant.label << ", step " << s;
      }
      EXPECT_EQ(save(*second.exchange), save(*whole.exchange)) << variant.label;
    });
  }
}

TEST_P(CodecContract, TheLedgerIsWhatWasSentAndCheckedModeAgrees) {
  for (const bool checked : {false, true}) {
    run_ranks(ranks(), [&](Collective& collective) {
      Watched counted(collective);
      RankExchange world(counted, slots(), config_of(variant(), false, checked));
      for (int s = 0; s < 3; ++s) {
        counted.counted_bytes = counted.calls = 0;
        const ExchangeReport report = step(world, collective.rank(), s, normal_value);
        EXPECT_EQ(report.bytes_sent, counted.counted_bytes);
        EXPECT_EQ(report.collectives, counted.calls);
      }
    });
  }
}

/// Huge, subnormal and zero gradients: finite results, nothing lost beyond f32 rounding.
TEST_P(CodecContract, ExtremeMagnitudes) {
  for (const double magnitude : {0.0, 1e-44, 1e-38, 1e-20, 1e18}) {
    run_ranks(ranks(), [&](Collective& collective) {
      RankExchange world(collective, slots(), config_of(variant()));
      for (int s = 0; s < 2; ++s) {
        const ExchangeReport report = step(world, collective.rank(), s, [&](int rank, std::int64_t number, std::int64_t slot, std::int64_t i) {
          return magnitude * static_cast<double>(normal_value(rank, number, slot, i));
        });
        EXPECT_FALSE(report.control.nonfinite);
        for (const auto& values : contents(world)) {
          for (const double value : values) {
            // One factor entry is at most a column's norm, sqrt(201) times 4 standard deviations of p ranks with residuals.
            ASSERT_TRUE(std::isfinite(value) && std::abs(value) <= 1e4 * magnitude) << value << " at magnitude " << magnitude;
          }
        }
      }
    });
  }
}

TEST_P(CodecContract, TwoByteAndF64Gradients) {
  for (const DType dtype : {DType::bf16, DType::f16, DType::f64}) {
    run_ranks(ranks(), [&](Collective& collective) {
      RankExchange world(collective, slots(dtype), config_of(variant()));
      RankExchange single(collective, slots(), config_of(variant()));
      // Values that all dtypes hold, so that codecs see the same.
      const Gradient coarse = [](int rank, std::int64_t number, std::int64_t slot, std::int64_t i) {
        return std::round(8 * static_cast<double>(normal_value(rank, number, slot, i))) / 8;
      };
      step(world, collective.rank(), 0, coarse);
      step(single, collective.rank(), 0, coarse);
      const double unit = dtype == DType::bf16 ? 0x1p-8 : dtype == DType::f16 ? 0x1p-11 : 0;
      const auto got = contents(world), expected = contents(single);
      for (std::size_t slot = 0; slot < got.size(); ++slot) {
        for (std::size_t i = 0; i < got[slot].size(); ++i) {
          ASSERT_NEAR(got[slot][i], expected[slot][i], (unit + 2 * variant().relative_error) * ranks() * 6 + 1e-4) << world.slots[slot].name << "[" << i << "]";
        }
      }
    });
  }
}

INSTANTIATE_TEST_SUITE_P(Registry, CodecContract, ::testing::Combine(::testing::ValuesIn(variants()), ::testing::Values(2, 3, 4)),
                         [](const auto& test) { return std::get<0>(test.param).label + concat("_", std::get<1>(test.param), "_ranks"); });

}  // namespace
}  // namespace panther::comm
