// The wire formats, and the seam for others: any codec of all_reduce and all_gather stages.
#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "tests/comm/exchange_world.h"

namespace panther::comm {
namespace {

using testing::RankExchange;

double gaussian(int rank, std::int64_t i) {
  std::mt19937_64 random(static_cast<std::uint64_t>(rank) * 1000 + static_cast<std::uint64_t>(i));
  return std::normal_distribution<double>(0, 1e-3)(random);
}

TEST(ExchangeCodec, TheRegistryKnowsTheWires) {
  EXPECT_TRUE(codec_registry().contains("none"));
  EXPECT_TRUE(codec_registry().contains("half"));
  std::vector<float> memory(32);
  const TensorView bucket(memory.data(), DType::f32, {32});
  for (const std::string& name : codec_registry().names()) {
    const auto codec = codec_registry().at(name).make({.bucket = bucket, .members = {{.name = "a", .numel = 32}}, .ranks = 2}, {}, plain_allocator());
    const std::vector<Stage> stages = codec->plan(0);
    ASSERT_FALSE(stages.empty()) << name;
    const TensorView wire = codec->encode(0, {.kernels = cpu_kernels(), .stream = {}});
    EXPECT_EQ(wire.dtype, stages[0].dtype) << name;
    EXPECT_EQ(wire.numel(), stages[0].count) << name;
  }
}

TEST(ExchangeCodec, HalfIsOneRoundingOfTheF32SumOfRoundedGradients) {
  constexpr std::int64_t kCount = 1000;
  for (const DType dtype : {DType::f32, DType::f64}) {
    run_ranks_as_threads(4, [&](Collective& collective) {
      RankExchange world(collective, {{"g", kCount, dtype}}, {.codec = "half"});
      world.exchange->begin({});
      for (std::int64_t i = 0; i < kCount; ++i) testing::put(world.gradient(0), i, gaussian(collective.rank(), i));
      world.exchange->finish();
      for (std::int64_t i = 0; i < kCount; ++i) {
        float rounded_sum = 0;
        double exact = 0, absolute = 0;
        for (int rank = 0; rank < 4; ++rank) {
          const double value = dtype == DType::f32 ? static_cast<double>(static_cast<float>(gaussian(rank, i))) : gaussian(rank, i);
          rounded_sum += to_float(to_bf16(to_float_odd(value)));
          exact += value;
          absolute += std::abs(value);
        }
        const double got = testing::get(world.gradient(0), i);
        ASSERT_EQ(got, to_float(to_bf16(rounded_sum))) << i;  // the threads backend adds in rank order
        ASSERT_LE(std::abs(got - exact), 0x1p-8 * (absolute + std::abs(exact)) * 1.01) << i;
      }
    });
  }
}

TEST(ExchangeCodec, HalfLeavesTwoByteGradientsAsTheyAre) {
  run_ranks_as_threads(2, [](Collective& collective) {
    for (const DType dtype : {DType::bf16, DType::f16}) {
      testing::Watched watched(collective);
      RankExchange world(watched, {{"g", 64, dtype}}, {.codec = "half"});
      watched.before = [&](const TensorView& buffer) {
        EXPECT_EQ(buffer.dtype, dtype);
        EXPECT_EQ(buffer.data, world.buckets[0].data);
      };
      world.exchange->begin({});
      testing::put(world.gradient(0), 5, collective.rank() + 0.25);
      world.exchange->finish();
      EXPECT_EQ(testing::get(world.gradient(0), 5), 1.5);
    }
  });
}

TEST(ExchangeCodec, NoneAndF64KeepFullPrecision) {
  run_ranks_as_threads(3, [](Collective& collective) {
    for (const DType dtype : {DType::f64, DType::f32}) {
      RankExchange world(collective, {{"g", 500, dtype}}, {});
      world.exchange->begin({});
      for (std::int64_t i = 0; i < 500; ++i) testing::put(world.gradient(0), i, gaussian(collective.rank(), i));
      world.exchange->finish();
      const double unit = dtype == DType::f64 ? 0x1p-53 : 0x1p-24;
      for (std::int64_t i = 0; i < 500; ++i) {
        double exact = 0, absolute = 0;
        for (int rank = 0; rank < 3; ++rank) {
          exact += gaussian(rank, i);
          absolute += std::abs(gaussian(rank, i));
        }
        ASSERT_NEAR(testing::get(world.gradient(0), i), exact, 4 * unit * absolute);  // input, two additions, reference
      }
    }
  });
}

/// Two stages: the largest magnitude (max), then every rank's signs by all_gather. Keeps no integers.
class SignOfLargest final : public Codec {
 public:
  explicit SignOfLargest(const TensorView& memory) : bucket(memory) {}
  std::vector<Stage> plan(std::int64_t) const override {
    return {{Stage::Kind::all_reduce, DType::f32, 1, ReduceOp::max}, {Stage::Kind::all_gather, DType::u8, bucket.numel(), ReduceOp::sum}};
  }
  TensorView encode(std::size_t index, const CodecCall&) override {
    const auto* values = bucket.as<float>();
    if (index == 0) {
      largest_ = 0;
      for (std::int64_t i = 0; i < bucket.numel(); ++i) largest_ = std::max(largest_, std::abs(values[i]));
      return TensorView(&largest_, DType::f32, {1});
    }
    signs_.resize(static_cast<std::size_t>(bucket.numel()));
    for (std::size_t i = 0; i < signs_.size(); ++i) signs_[i] = values[i] >= 0;
    return TensorView(signs_.data(), DType::u8, {bucket.numel()});
  }
  void decode(std::size_t index, const TensorView& wire, const CodecCall&) override {
    if (index == 0) return;
    const std::int64_t ranks = wire.numel() / bucket.numel();
    for (std::int64_t i = 0; i < bucket.numel(); ++i) {
      float votes = 0;
      for (std::int64_t r = 0; r < ranks; ++r) votes += wire.as<std::uint8_t>()[r * bucket.numel() + i] != 0 ? 1.0f : -1.0f;
      bucket.as<float>()[i] = votes * largest_;
    }
  }
  bool linear() const override { return false; }
  bool keeps_bytes() const override { return false; }

 private:
  TensorView bucket;
  float largest_ = 0;
  std::vector<std::uint8_t> signs_;
};

TEST(ExchangeCodec, StagesOfAnyKindRunInOrderAndTheControlWordTravelsApart) {
  CodecRegistry codecs("exchange");
  codecs.add("sign_of_largest", {[](const CodecLayout& layout, const CodecSettings&, Allocator&) -> std::unique_ptr<Codec> {
                                return std::make_unique<SignOfLargest>(layout.bucket);
                              }});
  for (const bool checked : {false, true}) {
    run_ranks_as_threads(3, [&](Collective& collective) {
      const int rank = collective.rank();
      testing::Watched counted(collective);
      RankExchange world(counted, {{"a", 16}, {"b", 32}}, {.codec = "sign_of_largest", .bucket_bytes = 1, .first_bucket_bytes = 1, .checked = checked},
                         std::chrono::seconds(60), codecs);
      world.exchange->begin({});
      world.exchange->set_control({.checkpoint = rank == 2}, 1.0 / 3);
      for (std::int64_t i = 0; i < 32; ++i) testing::put(world.gradient(1), i, rank == 0 || i < 16 ? rank + 1.0 : -rank - 1.0);
      const ExchangeReport report = world.exchange->finish();
      EXPECT_EQ(testing::get(world.gradient(1), 0), 9);    // three votes of the largest, 3
      EXPECT_EQ(testing::get(world.gradient(1), 31), -3);  // one against two
      EXPECT_TRUE(report.control.checkpoint);
      EXPECT_EQ(report.loss_sum, 1.0 / 3 + 1.0 / 3 + 1.0 / 3);
      EXPECT_EQ(report.collectives, 5 + (checked ? 1 : 0));
      EXPECT_EQ(report.bytes_sent, counted.counted_bytes);
    });
  }
}

}  // namespace
}  // namespace panther::comm
