// Order fuzz: gradients become ready in another random order, from several threads, with random pauses, on every rank and step.
// The issue order must be the plan's everywhere and the sums right.
#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <random>
#include <thread>

#include "tests/comm/exchange_world.h"

namespace panther::comm {
namespace {

using testing::RankExchange;

std::vector<GradientSlot> fuzz_slots() {
  std::vector<GradientSlot> slots;
  for (int i = 0; i < 12; ++i) slots.push_back({concat("p", i), 1 + 3 * i, i % 5 == 4 ? DType::f64 : DType::f32, i % 7 == 6 ? 1 : 0});
  return slots;
}

double value_of(int step, int rank, std::int64_t slot, std::int64_t i) {
  return static_cast<double>((step * 31 + rank * 7 + slot * 3 + i) % 1000);
}

void one_step(RankExchange& world, int step, int rank, int ranks, std::mt19937& random) {
  std::vector<std::int64_t> order(world.slots.size());
  std::iota(order.begin(), order.end(), 0);
  std::shuffle(order.begin(), order.end(), random);
  const std::size_t marked = random() % 4 == 0 ? random() % order.size() : order.size();  // the rest is left to finish()
  world.exchange->begin({});
  world.exchange->set_control({.stop = step % 50 == rank}, step + rank);
  for (std::int64_t slot : order) {
    const TensorView gradient = world.gradient(slot);
    for (std::int64_t i = 0; i < gradient.numel(); ++i) testing::put(gradient, i, value_of(step, rank, slot, i));
  }
  const bool two_threads = random() % 16 == 0;
  const auto mark = [&](std::size_t from, std::size_t to, unsigned pause) {
    for (std::size_t i = from; i < to; ++i) {
      if (pause != 0 && i % pause == 0) std::this_thread::yield();
      world.exchange->mark_ready(order[i]);
    }
  };
  if (two_threads) {
    std::thread other(mark, marked / 2, marked, 2u);
    mark(0, marked / 2, 3);
    other.join();
  } else {
    mark(0, marked, random() % 4);
  }
  const ExchangeReport report = world.exchange->finish();
  ASSERT_EQ(report.control.stop, step % 50 < ranks);
  ASSERT_EQ(report.loss_sum, ranks * step + ranks * (ranks - 1) / 2);
  for (std::size_t slot = 0; slot < world.slots.size(); ++slot) {
    const TensorView gradient = world.gradient(static_cast<std::int64_t>(slot));
    for (std::int64_t i = 0; i < gradient.numel(); ++i) {
      double sum = 0;
      for (int r = 0; r < ranks; ++r) sum += value_of(step, r, static_cast<std::int64_t>(slot), i);
      ASSERT_EQ(testing::get(gradient, i), sum) << "step " << step << " slot " << slot;
    }
  }
}

class ExchangeOrder : public ::testing::TestWithParam<int> {};

TEST_P(ExchangeOrder, ThousandsOfStepsInRandomReadiness) {
  const int ranks = GetParam();
  constexpr int kSteps = 2000;
  run_ranks_as_threads(ranks, [&](Collective& collective) {
    std::mt19937 random(static_cast<unsigned>(collective.rank() * 1000003 + 11));
    RankExchange world(collective, fuzz_slots(), {.bucket_bytes = 128, .first_bucket_bytes = 64});
    ASSERT_GE(world.plan.buckets.size(), 5u);
    std::int64_t next = 0;
    world.exchange->trace = [&](const char*, std::int64_t bucket, bool begin) {
      if (!begin) return;
      ASSERT_EQ(bucket, next) << "issued out of plan order";
      next = (next + 1) % static_cast<std::int64_t>(world.plan.buckets.size());
    };
    for (int step = 0; step < kSteps; ++step) {
      one_step(world, step, collective.rank(), collective.size(), random);
      if (::testing::Test::HasFatalFailure()) return;
    }
    EXPECT_EQ(next, 0);
  });
}

INSTANTIATE_TEST_SUITE_P(Ranks, ExchangeOrder, ::testing::Values(2, 3, 4), [](const auto& param) { return std::to_string(param.param); });

}  // namespace
}  // namespace panther::comm
