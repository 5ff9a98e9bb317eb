// Ranks that fail at a random moment of a random step, in one of the ways ranks fail: everybody learns of it at once, on one level and on two, and
// no step ends with other bits on some ranks.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <memory>
#include <random>
#include <thread>

#include "core/crc32c.h"
#include "tests/comm/levels_world.h"
#include "tests/comm/rank_world.h"

namespace panther::comm {
namespace {

using namespace testing;  // NOLINT: the test's own vocabulary

/// How many calls of its codecs this rank survives; negative: all.
thread_local std::shared_ptr<int> calls_left;

/// `none`, until that many calls, its construction among them, are used up.
class Failing final : public Codec {
 public:
  explicit Failing(std::unique_ptr<Codec> inner) : inner_(std::move(inner)), left_(calls_left) { count(); }
  std::vector<Stage> plan(std::int64_t step) const override { return inner_->plan(step); }
  TensorView encode(std::size_t index, const CodecCall& call) override {
    count();
    return inner_->encode(index, call);
  }
  void decode(std::size_t index, const TensorView& wire, const CodecCall& call) override {
    count();
    inner_->decode(index, wire, call);
  }
  bool linear() const override { return true; }
  bool keeps_bytes() const override { return inner_->keeps_bytes(); }

 private:
  void count() const {
    if ((*left_)-- == 0) fail(ErrorCode::DeviceFault, "broken");
  }
  std::unique_ptr<Codec> inner_;
  std::shared_ptr<int> left_;
};

std::unique_ptr<Codec> make_failing(const CodecLayout& layout, const CodecSettings& settings, Allocator& allocator) {
  return std::make_unique<Failing>(codec_registry().at("none").make(layout, settings, allocator));
}

enum class Way { aborts, codec_throws, abandons_step, leaves };

/// One life of four ranks, of whom one fails.
struct Life {
  std::string codec;
  Nodes nodes;
  bool checked;
  Way way;
  int victim;
  int step;
  int microseconds;
  std::uint32_t seed;
};

Life life_of(std::uint32_t seed) {
  std::mt19937 random(seed);
  const std::vector<std::string> codecs = codec_registry().names();
  const std::array topologies{Nodes{}, Nodes{0, 0, 1, 1}, Nodes{0, 0, 0, 1}, Nodes{0, 1, 1, 0}};
  Life life{.codec = codecs[random() % codecs.size()], .nodes = topologies[random() % topologies.size()], .checked = random() % 2 == 0, .way = static_cast<Way>(random() % 4),
            .victim = static_cast<int>(random() % 4), .step = static_cast<int>(random() % 6), .microseconds = static_cast<int>(random() % 3000), .seed = seed};
  // Followers have no codec that could throw; rank 0 leads in every topology.
  if (life.way == Way::codec_throws) life.victim = 0;
  return life;
}

std::uint32_t bits_of(const RankExchange& world) {
  std::uint32_t crc = 0;
  for (const TensorView& bucket : world.buckets) crc = crc * 31 + crc32c({static_cast<const std::byte*>(bucket.data), static_cast<std::size_t>(bucket.bytes())});
  return crc;
}

/// Steps until something is thrown; gives what every completed step ended with.
std::vector<std::uint32_t> live(const Life& life, Collective& collective) {
  CodecRegistry codecs("comm.exchange");
  codecs.add("failing", {.make = make_failing});
  calls_left = std::make_shared<int>(collective.rank() == life.victim ? static_cast<int>(life.seed * 7 % 60) : -1);
  const bool throws = life.way == Way::codec_throws;
  ExchangeConfig config = config_of(throws ? "failing" : life.codec, life.nodes);
  config.checked = life.checked;
  std::vector<std::uint32_t> ends;
  std::thread aborter;
  const Thrown thrown = catch_error([&] {
    RankExchange world(collective, slots(), config, 20s, throws ? codecs : codec_registry());
    for (int s = 0; s < 100; ++s) {
      if (collective.rank() == life.victim && s == life.step && !throws) {
        if (life.way == Way::leaves) return;
        if (life.way == Way::abandons_step) {
          world.exchange->begin({});
          fill(world, collective.rank(), s, normal_value);
          for (std::int64_t slot = 0; slot < static_cast<std::int64_t>(slots().size()) - life.microseconds % 2; ++slot) world.exchange->mark_ready(slot);
          std::this_thread::sleep_for(std::chrono::microseconds(life.microseconds));
          return;
        }
        aborter = std::thread([&] {
          std::this_thread::sleep_for(std::chrono::microseconds(life.microseconds));
          collective.abort();
        });
      }
      step(world, collective.rank(), s, normal_value);
      ends.push_back(bits_of(world));
    }
  });
  if (aborter.joinable()) aborter.join();
  const bool alone = collective.rank() == life.victim;
  if (!alone) {
    EXPECT_EQ(thrown.code, ErrorCode::PeerLost) << thrown.message;
  } else if (life.way == Way::aborts || throws) {
    EXPECT_EQ(thrown.code, throws ? ErrorCode::DeviceFault : ErrorCode::PeerLost) << thrown.message;
  }
  return ends;
}

class AbortOver : public ::testing::TestWithParam<std::string> {};

TEST_P(AbortOver, AnyMomentEndsAllRanksAtOnce) {
  constexpr std::uint32_t kLives = 60;
  for (std::uint32_t seed = 0; seed < kLives && !HasFailure(); ++seed) {
    const Life life = life_of(seed);
    SCOPED_TRACE(concat("seed ", seed, ", ", life.codec, ", way ", static_cast<int>(life.way), ", rank ", life.victim, ", step ", life.step));
    PerRank<std::vector<std::uint32_t>> ends(4);
    const auto begin = std::chrono::steady_clock::now();
    make_rank_world(GetParam(), 4)->run([&](Collective& collective, const std::function<void()>& leave) {
      ends.set(collective.rank(), live(life, collective));
      leave();
    });
    EXPECT_LT(std::chrono::steady_clock::now() - begin, 10s) << "somebody waited for the deadline of 20 seconds";
    for (int rank = 1; rank < 4; ++rank) {
      const std::size_t common = std::min(ends[rank].size(), ends[0].size());
      EXPECT_TRUE(std::equal(ends[rank].begin(), ends[rank].begin() + static_cast<std::ptrdiff_t>(common), ends[0].begin())) << "rank " << rank;
    }
  }
}
INSTANTIATE_TEST_SUITE_P(Backends, AbortOver, ::testing::Values("threads", "messages", "tcp"), [](const auto& instance) { return instance.param; });

}  // namespace
}  // namespace panther::comm
