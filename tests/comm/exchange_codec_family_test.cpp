// What single codecs are: exactness, bytes, order, guards, errors. Failures of other systems are regression tests here.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>

#include "comm/exchange/error_feedback.h"
#include "kernels/pack/pack_kernels.h"
#include "core/text.h"
#include "tests/comm/codec_world.h"

namespace panther::comm {
namespace {

using namespace testing;  // NOLINT: the test's own vocabulary

ExchangeConfig one_bucket(const std::string& codec, const CodecSettings& settings) {
  return {.codec = codec, .bucket_bytes = 1 << 24, .first_bucket_bytes = 1 << 24, .settings = settings};
}

double norm(const std::vector<double>& values) {
  double sum = 0;
  for (const double v : values) sum += v * v;
  return std::sqrt(sum);
}

/// Orthonormal columns, by columns.
std::vector<float> orthonormal(std::int64_t rows, std::int64_t rank, int seed) {
  std::vector<float> factor(static_cast<std::size_t>(rows * rank));
  for (std::size_t i = 0; i < factor.size(); ++i) factor[i] = normal_value(seed, 0, 9, static_cast<std::int64_t>(i));
  std::vector<double> scratch(static_cast<std::size_t>(rank * rank + 1));
  pack_kernels(DeviceKind::cpu).orthonormalize({.factor_RM = factor.data(), .rows = rows, .rank = rank, .scratch_RR = scratch.data()}, {});
  return factor;
}

TEST(PowerSgd, GradientsOfLowRankComeBackExactly) {
  for (const int ranks : {2, 3}) {
    run_ranks_as_threads(ranks, [&](Collective& collective) {
      RankExchange world(collective, {matrix("w", 60, 90)}, one_bucket("powersgd", {.rank = 4, .min_numel = 0}));
      // Three columns that all ranks share: the sum has rank 3.
      const Gradient low = [](int rank, std::int64_t number, std::int64_t, std::int64_t i) {
        double sum = 0;
        for (int k = 0; k < 3; ++k) sum += static_cast<double>(normal_value(50 + k, 0, 0, i / 90)) * static_cast<double>(normal_value(rank, number, k, i % 90));
        return sum;
      };
      for (int s = 0; s < 3; ++s) {
        step(world, collective.rank(), s, low);
        const auto got = contents(world)[0];
        for (std::int64_t i = 0; i < 60 * 90; ++i) {
          double exact = 0;
          for (int rank = 0; rank < ranks; ++rank) exact += low(rank, s, 0, i);
          // r terms of norm ||column|| <= sqrt(60) * 15, whose factors are sums of 90 and of 60 products, each of which may round in turn.
          ASSERT_NEAR(got[static_cast<std::size_t>(i)], exact, (90 + 60) * 0x1p-24 * 15 * std::sqrt(60.0) * ranks) << s;
        }
      }
    });
  }
}

/// Subspace iteration on a fixed matrix with singular values 2^-i: the warm start reaches the best rank-2 error.
TEST(PowerSgd, WarmStartReachesTheBestRank) {
  constexpr std::int64_t kRows = 60, kColumns = 90, kAll = 8;
  const auto u = orthonormal(kRows, kAll, 1), v = orthonormal(kColumns, kAll, 2);
  const Gradient fixed = [&](int, std::int64_t, std::int64_t, std::int64_t i) {
    double sum = 0;
    for (std::int64_t k = 0; k < kAll; ++k) {
      sum += std::ldexp(1, static_cast<int>(-k)) * static_cast<double>(u[static_cast<std::size_t>(k * kRows + i / kColumns)]) *
             static_cast<double>(v[static_cast<std::size_t>(k * kColumns + i % kColumns)]);
    }
    return sum;
  };
  double best = 0;
  for (int k = 2; k < kAll; ++k) best += std::pow(4.0, -k);
  for (const bool alternating : {false, true}) {
    run_ranks_as_threads(2, [&](Collective& collective) {
      RankExchange world(collective, {matrix("w", kRows, kColumns)},
                         one_bucket("powersgd", {.rank = 2, .alternating = alternating, .error_feedback = false, .min_numel = 0}));
      double first = 0, last = 0;
      for (int s = 0; s < 24; ++s) {
        step(world, collective.rank(), s, fixed);
        auto error = contents(world)[0];
        for (std::size_t i = 0; i < error.size(); ++i) error[i] = error[i] / 2 - fixed(0, 0, 0, static_cast<std::int64_t>(i));
        (s == 0 ? first : last) = norm(error);
      }
      EXPECT_NEAR(last / std::sqrt(best), 1, 1e-3);
      EXPECT_GT(first, 1.02 * std::sqrt(best)) << "a cold start cannot know";
    });
  }
}

/// PyTorch's hook aborts with more than one bucket, because ranks issue the stages of two buckets in different orders (74148, and 1036
/// against 1024 bytes in 1.13.1). Any number of buckets, gradients ready in another order on every rank and step: one order of messages.
TEST(PowerSgd, AnyNumberOfBucketsInOneOrder) {
  std::vector<GradientSlot> slots;
  for (int i = 0; i < 6; ++i) slots.push_back(matrix(concat("w", i), 30 + i, 40));
  for (const std::int64_t bytes : {1, 6000, 12000, 1 << 20}) {
    PerRank<std::vector<std::string>> order(3);
    run_ranks_as_threads(3, [&](Collective& collective) {
      RankExchange world(collective, slots, {.codec = "powersgd", .bucket_bytes = bytes, .first_bucket_bytes = bytes, .settings = {.rank = 2, .min_numel = 0}});
      std::vector<std::string> seen;
      world.exchange->trace = [&](const char* name, std::int64_t bucket, bool begins) {
        if (begins) seen.push_back(concat(name, bucket));
      };
      std::mt19937 random(static_cast<unsigned>(collective.rank()));
      for (int s = 0; s < 20; ++s) {
        world.exchange->begin({});
        fill(world, collective.rank(), s, normal_value);
        std::vector<std::int64_t> ready{0, 1, 2, 3, 4, 5};
        std::shuffle(ready.begin(), ready.end(), random);
        for (const std::int64_t slot : ready) world.exchange->mark_ready(slot);
        world.exchange->finish();
      }
      EXPECT_EQ(seen.size(), 20 * 2 * world.plan.buckets.size());
      order.set(collective.rank(), seen);
    });
    EXPECT_EQ(order[0], order[1]);
    EXPECT_EQ(order[0], order[2]);
  }
}

TEST(PowerSgd, MessagesAreTheFactorsAndWhatIsExact) {
  run_ranks_as_threads(2, [&](Collective& collective) {
    // 64 x 100 takes rank 4 (656 x 2 < 6400), 10 x 20 does not (120 x 2 > 200).
    const std::vector<GradientSlot> slots{matrix("w", 64, 100), matrix("narrow", 10, 20), vector("b", 30)};
    const std::int64_t exact = 200 + 30 + control_elements(2);
    for (const bool alternating : {false, true}) {
      RankExchange world(collective, slots, one_bucket("powersgd", {.rank = 4, .alternating = alternating, .min_numel = 0}));
      for (int s = 0; s < 3; ++s) {
        const ExchangeReport report = step(world, collective.rank(), s, normal_value);
        const std::int64_t rows = collective.all_reduce_bytes_sent(4 * (4 * 64 + exact)), columns = collective.all_reduce_bytes_sent(4 * 4 * 100);
        const std::int64_t columns_alone = collective.all_reduce_bytes_sent(4 * (4 * 100 + exact));
        EXPECT_EQ(report.bytes_sent, !alternating ? rows + columns : s % 2 == 0 ? rows : columns_alone);
        EXPECT_EQ(report.collectives, alternating ? 1 : 2);
      }
    }
  });
}

/// A subspace that met only zeros has no direction; the next gradient must find one.
TEST(PowerSgd, DirectionsThatVanishedStartAgain) {
  for (const bool alternating : {false, true}) {
    run_ranks_as_threads(2, [&](Collective& collective) {
      RankExchange world(collective, {matrix("w", 40, 50)}, one_bucket("powersgd", {.rank = 3, .alternating = alternating, .error_feedback = false, .min_numel = 0}));
      const Gradient zero = [](int, std::int64_t, std::int64_t, std::int64_t) { return 0.0; };
      for (int s = 0; s < 4; ++s) step(world, collective.rank(), s, zero);
      const Gradient one = [](int, std::int64_t, std::int64_t, std::int64_t i) {
        return static_cast<double>(normal_value(3, 0, 0, i / 50)) * static_cast<double>(normal_value(4, 0, 0, i % 50));
      };
      double error = 0, whole = 0;
      for (int s = 4; s < 10; ++s) {
        step(world, collective.rank(), s, one);
        auto got = contents(world)[0];
        for (std::size_t i = 0; i < got.size(); ++i) got[i] -= 2 * one(0, 0, 0, static_cast<std::int64_t>(i));
        error = norm(got);
        whole = norm(contents(world)[0]);
      }
      EXPECT_LT(error, 1e-5 * whole);
    });
  }
}

TEST(CodecSettingsTest, WhatMakesNoSenseIsNamedWithWhatWouldWork) {
  for (const int ranks : {1, 2}) run_ranks_as_threads(ranks, [&](Collective& collective) {
    const auto thrown = [&](const std::string& codec, const CodecSettings& settings) {
      return catch_error([&] { RankExchange(collective, {matrix("w", 64, 100), matrix("narrow", 50, 40)}, one_bucket(codec, settings)); });
    };
    const auto expect = [](const Thrown& error, const std::string& part) {
      EXPECT_TRUE(error.any && error.code == ErrorCode::InvalidArgument) << error.message;
      EXPECT_NE(error.message.find(part), std::string::npos) << error.message;
    };
    expect(thrown("powersgd", {.rank = 65}), "'w', is 64 x 100, so ranks up to 64");
    EXPECT_FALSE(thrown("powersgd", {.rank = 60}).any) << "one matrix takes it; it travels exactly, since it would not pay";
    expect(thrown("quantize", {.bits = 9}), "comm.codec.bits = 9 must lie between 1 and 8");
    expect(thrown("quantize", {.block = 100}), "try 104");
    expect(thrown("top_k", {.density = 0}), "comm.codec.density");
    expect(thrown("count_sketch", {.sketch_rows = 2}), "use 1, 3 or 5");
    expect(thrown("sign", {.momentum = 1}), "comm.codec.momentum");
    expect(thrown("top_q", {}), "did you mean 'top_k'");
    const auto misshapen = catch_error([] { plan_buckets({{"w", 12, DType::f32, 0, 5, 2}}, {}); });
    expect(misshapen, "no 5 x 2 matrix");
  });
}

TEST(TopK, SendsTheLargestAndKeepsTheRest) {
  run_ranks_as_threads(2, [&](Collective& collective) {
    const int rank = collective.rank();
    RankExchange world(collective, {matrix("w", 10, 10)}, one_bucket("top_k", {.density = 0.02, .min_numel = 0}));
    // Element 7 and 10 + rank are large, the others are -1 on both ranks.
    const Gradient spikes = [](int r, std::int64_t, std::int64_t, std::int64_t i) { return i == 7 ? 5.0 : i == 10 + r ? 8.0 + r : -1.0; };
    const ExchangeReport report = step(world, rank, 0, spikes);
    const auto got = contents(world)[0];
    for (std::size_t i = 0; i < 100; ++i) EXPECT_EQ(got[i], i == 7 ? 10 : i == 10 ? 8 : i == 11 ? 9 : 0) << i;
    const std::int64_t exact_bytes = (4 * control_elements(2) + 63) / 64 * 64;
    EXPECT_EQ(report.bytes_sent, exact_bytes + 64);  // two pairs of 8 bytes, padded
    // What waited comes: after 49 steps without gradient, all of it has.
    std::vector<double> sum = got;
    for (int s = 1; s < 60; ++s) {
      step(world, rank, s, [](int, std::int64_t, std::int64_t, std::int64_t) { return 0.0; });
      const auto more = contents(world)[0];
      for (std::size_t i = 0; i < 100; ++i) sum[i] += more[i];
    }
    for (std::int64_t i = 0; i < 100; ++i) EXPECT_EQ(sum[static_cast<std::size_t>(i)], spikes(0, 0, 0, i) + spikes(1, 0, 0, i)) << i;
  });
}

/// Elements that are large in the sum alone, on no rank by itself, come exactly; the rest waits.
TEST(CountSketch, FindsWhatIsLargeInTheSumOverRanks) {
  constexpr std::int64_t kSide = 400, kHeavy = 20;
  for (const int ranks : {2, 4}) {
    run_ranks_as_threads(ranks, [&](Collective& collective) {
      const CodecSettings settings{.density = 1.0 / 8000, .sketch_columns = 256, .min_numel = 0};
      RankExchange world(collective, {matrix("w", kSide, kSide)}, one_bucket("count_sketch", settings));
      const Gradient heavy = [&](int rank, std::int64_t number, std::int64_t, std::int64_t i) {
        const double common = i % 8009 == 3 ? 4.0 + static_cast<double>(i) / 1e5 : 0.0;
        return common + 0.05 * static_cast<double>(normal_value(rank, number, 0, i));
      };
      const ExchangeReport report = step(world, collective.rank(), 0, heavy);
      const auto got = contents(world)[0];
      for (std::int64_t i = 0; i < kSide * kSide; ++i) {
        double exact = 0;
        for (int rank = 0; rank < ranks; ++rank) exact += heavy(rank, 0, 0, i);
        ASSERT_NEAR(got[static_cast<std::size_t>(i)], i % 8009 == 3 ? exact : 0.0, i % 8009 == 3 ? 1e-5 : 0.0) << i;
      }
      // 20 values, 5 rows of 5120 cells, and what is exact.
      const std::int64_t bytes = collective.all_reduce_bytes_sent(4 * (5 * 5120 + control_elements(ranks))) + collective.all_reduce_bytes_sent(4 * (kHeavy + 1));
      EXPECT_EQ(report.bytes_sent, bytes);
      std::int64_t rest = -1;
      std::memcpy(&rest, save(*world.exchange).at("w/count_sketch.rest").data(), sizeof rest);
      EXPECT_EQ(rest, 0) << "heavy elements exist";
    });
  }
}

/// Nothing stands out: the sketch is not worth its bytes, and for 16 steps there is none.
TEST(CountSketch, WithoutHeavyElementsTheGateSendsSamples) {
  run_ranks_as_threads(2, [&](Collective& collective) {
    const CodecSettings settings{.density = 0.01, .sketch_rows = 3, .sketch_columns = 8, .min_numel = 0};
    RankExchange world(collective, {matrix("w", 100, 100)}, one_bucket("count_sketch", settings));
    std::vector<std::int64_t> sent;
    for (int s = 0; s < 18; ++s) sent.push_back(step(world, collective.rank(), s, normal_value).bytes_sent);
    const std::int64_t values = collective.all_reduce_bytes_sent(4 * 101), exact = collective.all_reduce_bytes_sent(4 * control_elements(2));
    const std::int64_t sketch = collective.all_reduce_bytes_sent(4 * (3 * 832 + control_elements(2)));
    for (std::size_t s = 0; s < sent.size(); ++s) EXPECT_EQ(sent[s], values + (s % 17 == 0 ? sketch : exact)) << s;
    const auto got = contents(world)[0];
    EXPECT_EQ(std::count_if(got.begin(), got.end(), [](double value) { return value != 0; }), 100);
  });
}

/// One element holds everything: `random_k` misses it 99 times of 100, the transform spreads it, so that the same share comes at every step.
TEST(Srht, SpreadsWhatIsConcentrated) {
  run_ranks_as_threads(2, [&](Collective& collective) {
    const CodecSettings settings{.density = 1.0 / 16, .error_feedback = false, .min_numel = 0};
    RankExchange world(collective, {matrix("w", 64, 64)}, one_bucket("srht", settings));
    double mean = 0;
    for (int s = 0; s < 64; ++s) {
      step(world, collective.rank(), s, [](int, std::int64_t, std::int64_t, std::int64_t i) { return i == 777 ? 1.0 : 0.0; });
      const auto got = contents(world)[0];
      // 256 of 4096 coefficients of equal size 2 / 64, each times 16: ||C(v)||^2 = 16 ||v||^2, whatever was chosen.
      EXPECT_NEAR(norm(got), 2 * 4, 1e-4);
      EXPECT_NEAR(got[777], 2, 1e-4);
      mean += got[778] / 64;
    }
    // Unbiased: other elements get 16 x 256 random signs over 4096, twice, per step.
    EXPECT_NEAR(mean, 0, 5 * 2 * 16 * std::sqrt(256.0) / 4096 / std::sqrt(64.0));
  });
}

/// With momentum every rank sends the signs of a running mean; of the means together, what was not sent waits.
TEST(Sign, MomentumIsARunningMeanOfTheRanksGradients) {
  constexpr std::int64_t kCount = 256;
  constexpr int kRanks = 2, kSteps = 6;
  PerRank<std::vector<double>> owed(kRanks), sent(kRanks);
  PerRank<std::vector<float>> left(kRanks);
  run_ranks_as_threads(kRanks, [&](Collective& collective) {
    RankExchange world(collective, {matrix("w", 16, 16)}, one_bucket("sign", {.momentum = 0.5, .min_numel = 0}));
    std::vector<double> momentum(kCount, 0.0), all(kCount, 0.0), came(kCount, 0.0);
    const int rank = collective.rank();
    for (int s = 0; s < kSteps; ++s) {
      step(world, rank, s, normal_value);
      const auto got = contents(world)[0];
      for (std::size_t i = 0; i < kCount; ++i) {
        momentum[i] = 0.5 * momentum[i] + 0.5 * static_cast<double>(normal_value(rank, s, 0, static_cast<std::int64_t>(i)));
        all[i] += momentum[i];
        came[i] += got[i];
      }
    }
    const SavedState state = save(*world.exchange);
    std::vector<float> saved(kCount);
    std::memcpy(saved.data(), state.at("w/momentum").data(), kCount * sizeof(float));
    for (std::size_t i = 0; i < kCount; ++i) EXPECT_NEAR(static_cast<double>(saved[i]), momentum[i], 1e-6);
    owed.set(rank, all);
    sent.set(rank, came);
    left.set(rank, residual_of(state, "w", kCount));
  });
  // Values below 8, of which each step rounds a few times on each rank.
  for (std::size_t i = 0; i < kCount; ++i) {
    const double found = sent[0][i] + static_cast<double>(left[0][i]) + static_cast<double>(left[1][i]);
    EXPECT_NEAR(found, owed[0][i] + owed[1][i], 8 * 4 * kSteps * kRanks * 0x1p-24);
  }
}

/// Without error feedback unbiased with ||C(g) - g||^2 = (d/k - 1) ||g||^2 on average; with it a projection that leaves 1 - k/d of ||v||^2.
TEST(CodecFamily, SharedSamplesHaveTheBiasAndVarianceOfTheirFormulas) {
  constexpr std::int64_t kSide = 64, kCount = kSide * kSide, kStride = 16;
  constexpr int kDraws = 400;
  std::vector<float> v(kCount);
  double whole = 0;
  for (std::int64_t i = 0; i < kCount; ++i) {
    v[static_cast<std::size_t>(i)] = normal_value(0, 0, 0, i);
    whole += std::pow(static_cast<double>(v[static_cast<std::size_t>(i)]), 2);
  }
  for (const std::string name : {"random_k", "srht"}) {
    for (const bool feedback : {false, true}) {
      SCOPED_TRACE(concat(name, feedback ? " with error feedback" : ""));
      std::vector<float> memory(kCount);
      const CodecLayout layout{.bucket = TensorView(memory.data(), DType::f32, {kCount}), .members = {{"w", 0, kCount, kSide, kSide}}, .ranks = 2};
      const CodecSettings settings{.density = 1.0 / kStride, .error_feedback = feedback, .min_numel = 0};
      const auto codec = codec_registry().at(name).make(layout, settings, plain_allocator());
      std::vector<double> mean(kCount, 0.0), square(kCount, 0.0);
      double error = 0;
      for (int draw = 0; draw < kDraws; ++draw) {
        std::copy(v.begin(), v.end(), memory.begin());
        const CodecCall call{.kernels = cpu_kernels(), .stream = {}, .step = draw};
        codec->decode(0, codec->encode(0, call), call);  // never committed: the residual stays zero
        for (std::size_t i = 0; i < kCount; ++i) {
          const double off = static_cast<double>(memory[i]) - static_cast<double>(v[i]);
          mean[i] += off / kDraws;
          square[i] += off * off / kDraws;
          error += off * off / whole / kDraws;
        }
      }
      // A draw's sum of k squares of normal values is off by sqrt(2 / k) of its mean 1 / stride; it enters stride^2 - 2 stride times without
      // feedback, once with it.
      const double spread = std::sqrt(2.0 / (kCount / kStride)) / kStride / std::sqrt(kDraws);
      const double expected = feedback ? 1 - 1.0 / kStride : kStride - 1;
      EXPECT_NEAR(error, expected, 5 * spread * (feedback ? 1 : kStride * kStride - 2 * kStride));
      // Zero on average without feedback: the mean of 4096 squared z-values is 1 with deviation sqrt(2 / 4096) = 0.022; nine of them, for
      // values that are rarely chosen.
      double squared_z = 0;
      for (std::size_t i = 0; i < kCount; ++i) squared_z += kDraws * mean[i] * mean[i] / std::max(square[i], 1e-30);
      if (feedback) EXPECT_GT(squared_z / kCount, 5) << "a projection is biased";
      else EXPECT_NEAR(squared_z / kCount, 1, 0.2);
    }
  }
}

TEST(RowSparse, SendsTheUnionOfTouchedRowsAndIsExact) {
  const std::vector<GradientSlot> slots{matrix("embedding", 1000, 16), vector("b", 8)};
  for (const int ranks : {2, 3}) {
    run_ranks_as_threads(ranks, [&](Collective& collective) {
      RankExchange world(collective, slots, one_bucket("row_sparse", {.min_numel = 0}));
      const Gradient rows = [](int rank, std::int64_t number, std::int64_t slot, std::int64_t i) {
        const std::int64_t row = i / 16;
        return slot == 1 || row == 5 || row % 100 == 10 * rank + number ? static_cast<double>(rank + 1) * static_cast<double>(1 + i % 50) : 0.0;
      };
      for (int s = 0; s < 3; ++s) {
        const ExchangeReport report = step(world, collective.rank(), s, rows);
        const auto got = contents(world);
        for (std::int64_t slot = 0; slot < 2; ++slot) {
          for (std::int64_t i = 0; i < slots[static_cast<std::size_t>(slot)].numel; ++i) {
            double exact = 0;
            for (int rank = 0; rank < ranks; ++rank) exact += rows(rank, s, slot, i);
            ASSERT_EQ(got[static_cast<std::size_t>(slot)][static_cast<std::size_t>(i)], exact);
          }
        }
        const std::int64_t united = 1 + 10 * ranks;
        EXPECT_EQ(report.bytes_sent, 125 * (ranks - 1) + collective.all_reduce_bytes_sent(4 * (united * 16 + 8 + control_elements(ranks))));
      }
    });
  }
}

/// Encoded values of linear codecs add up: encode(a) + encode(b) = encode(a + b), exactly for small integers.
TEST(CodecFamily, LinearCodecsAreLinear) {
  int linear = 0;
  for (const std::string& name : codec_registry().names()) {
    constexpr std::int64_t kRows = 32, kColumns = 48;
    const auto wire_of = [&](int which) {
      std::vector<float> memory(kRows * kColumns);
      for (std::size_t i = 0; i < memory.size(); ++i) {
        const auto a = static_cast<float>((i * 7) % 5), b = static_cast<float>((i * 11) % 3);
        memory[i] = which == 0 ? a : which == 1 ? b : a + b;
      }
      const TensorView bucket(memory.data(), DType::f32, {kRows * kColumns});
      const auto codec = codec_registry().at(name).make({.bucket = bucket, .members = {{"w", 0, kRows * kColumns, kRows, kColumns}}, .ranks = 2},
                                                        {.rank = 2, .density = 0.1, .min_numel = 0}, plain_allocator());
      std::vector<double> values;
      if (!codec->linear() || codec->plan(0)[0].dtype == DType::u8) return values;
      const TensorView wire = codec->encode(0, {.kernels = cpu_kernels(), .stream = {}});
      for (std::int64_t i = 0; i < wire.numel(); ++i) values.push_back(get(wire, i));
      return values;
    };
    const auto a = wire_of(0), b = wire_of(1), both = wire_of(2);
    linear += a.empty() ? 0 : 1;
    for (std::size_t i = 0; i < a.size(); ++i) ASSERT_NEAR(a[i] + b[i], both[i], name == "powersgd" || name == "srht" ? 1e-4 : 0) << name;
  }
  EXPECT_EQ(linear, 6);  // none, half, random_k, srht, powersgd, and count_sketch, which compresses nothing here
}

/// Residuals may not outgrow the gradient for good: beyond the limit they are scaled down, at a step that looks.
TEST(ErrorFeedbackTest, ResidualsAreBounded) {
  run_ranks_as_threads(2, [&](Collective& collective) {
    const CodecSettings settings{.density = 0.01, .residual_limit = 1, .min_numel = 0};
    RankExchange world(collective, {matrix("w", 50, 80)}, one_bucket("top_k", settings));
    const auto residual = [&] {
      const auto values = residual_of(save(*world.exchange), "w", 4000);
      return norm({values.begin(), values.end()});
    };
    step(world, collective.rank(), 0, [](int rank, std::int64_t s, std::int64_t slot, std::int64_t i) { return 1e6 * static_cast<double>(normal_value(rank, s, slot, i)); });
    const double before = residual();
    for (int s = 1; s < ErrorFeedback::kGuardPeriod; ++s) step(world, collective.rank(), s, normal_value);
    EXPECT_GT(residual(), 0.5 * before) << "between the looks nothing is thrown away";
    step(world, collective.rank(), ErrorFeedback::kGuardPeriod, normal_value);
    double gradient = 0;
    for (std::int64_t i = 0; i < 4000; ++i) gradient += std::pow(static_cast<double>(normal_value(collective.rank(), ErrorFeedback::kGuardPeriod, 0, i)), 2);
    EXPECT_NEAR(residual() / (std::sqrt(gradient) / settings.density), 1, 1e-5);
    // A rank without samples has no gradient, and keeps what it owes.
    const double owed = residual();
    for (int s = 1; s <= ErrorFeedback::kGuardPeriod; ++s) step(world, collective.rank(), s, [](int, std::int64_t, std::int64_t, std::int64_t) { return 0.0; });
    EXPECT_GT(residual(), 0.5 * owed) << "640 of 4000 values were sent since";
  });
}

/// torchft's bucketiser drops a tensor when sizes {6, 6} meet a cap of 10 elements; here every gradient is exchanged under any cap.
TEST(CodecFamily, NoGradientIsDroppedAtACap) {
  for (const std::string& name : codec_registry().names()) {
    for (std::int64_t cap = 1; cap <= 100; cap += 9) {
      run_ranks_as_threads(2, [&](Collective& collective) {
        RankExchange world(collective, {matrix("a", 2, 3), matrix("b", 3, 2), vector("c", 6)},
                           {.codec = name, .bucket_bytes = cap, .first_bucket_bytes = cap, .settings = {.rank = 1, .bits = 8, .density = 1, .min_numel = 0}});
        step(world, collective.rank(), 0, [](int, std::int64_t, std::int64_t, std::int64_t) { return 1.0; });
        for (const auto& values : contents(world)) {
          for (const double value : values) ASSERT_NEAR(value, 2, 1e-5) << name << " at " << cap;
        }
      });
    }
  }
}

}  // namespace
}  // namespace panther::comm
