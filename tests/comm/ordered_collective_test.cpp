// Sums in rank order: the bits of the plain loop over ranks, on every backend, however the elements are cut into messages.
#include "comm/backends/ordered_collective.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "comm/group.h"
#include "kernels/element/half.h"
#include "kernels/philox.h"
#include "tests/comm/backend_why_not.h"
#include "tests/comm/exchange_world.h"
#include "tests/comm/rank_world.h"

namespace panther::comm::testing {
namespace {

/// Values whose sums round: no order gives the bits of another.
double value_of(int rank, std::int64_t i) {
  const std::uint64_t bits = mix64(static_cast<std::uint64_t>(rank) + 1, static_cast<std::uint64_t>(i));
  return std::ldexp(static_cast<double>(bits >> 12) * 0x1p-52 - 0.5, static_cast<int>(bits % 12));
}

std::vector<double> serial_sum(int ranks, std::int64_t count, DType dtype) {
  std::vector<double> result;
  std::vector<std::byte> cell(8);
  const TensorView one(cell.data(), dtype, {1});
  for (std::int64_t i = 0; i < count; ++i) {
    double wide = 0;
    float narrow = 0;
    for (int rank = 0; rank < ranks; ++rank) {
      put(one, 0, value_of(rank, i));
      wide += get(one, 0);
      narrow += static_cast<float>(get(one, 0));
    }
    put(one, 0, dtype == DType::f64 ? wide : narrow);
    result.push_back(get(one, 0));
  }
  return result;
}

/// Wraps what a test owns elsewhere.
std::unique_ptr<Collective> ordered(Collective& inner) { return make_ordered_collective(std::make_unique<Watched>(inner)); }

class Ordered : public ::testing::TestWithParam<std::tuple<std::string, int>> {};

TEST_P(Ordered, HasTheBitsOfTheLoopOverRanks) {
  const auto& [backend, ranks] = GetParam();
  if (const std::string reason = why_not(backend); !reason.empty()) GTEST_SKIP() << backend << ": " << reason;
  const int count_of_ranks = ranks;
  make_rank_world(backend, ranks)->run([&](Collective& group, const auto&) {
    const auto sums = ordered(group);
    for (const DType dtype : {DType::f32, DType::f64, DType::bf16}) {
      for (const std::int64_t count : {0, 1, 5, 63, 64, 1000, 50003}) {
        const std::vector<double> expected = serial_sum(count_of_ranks, count, dtype);
        std::vector<std::byte> memory(static_cast<std::size_t>(count) * size_of(dtype));
        const TensorView buffer(memory.data(), dtype, {count});
        for (const std::int64_t cut : {count, count / 3}) {  // in one message, and in two
          for (std::int64_t i = 0; i < count; ++i) put(buffer, i, value_of(group.rank(), i));
          for (const TensorView& part : {buffer.slice(0, cut), buffer.slice(cut, count - cut)}) sums->all_reduce(part, ReduceOp::sum, {}, Deadline::after(60s)).wait(Deadline::after(60s));
          for (std::int64_t i = 0; i < count; ++i) ASSERT_EQ(get(buffer, i), expected[static_cast<std::size_t>(i)]) << dtype_name(dtype) << " " << i << " of " << count;
        }
      }
    }
    group.barrier(Deadline::after(60s));
  });
}

TEST(OrderedScatter, HasTheSameSums) {
  constexpr std::int64_t kEach = 37;
  constexpr int kRanks = 3;
  const std::vector<double> expected = serial_sum(kRanks, kEach * kRanks, DType::f32);
  run_ranks_as_threads(kRanks, [&](Collective& group) {
    const auto sums = ordered(group);
    std::vector<float> input(static_cast<std::size_t>(kEach * sums->size())), output(kEach);
    for (std::size_t i = 0; i < input.size(); ++i) input[i] = static_cast<float>(value_of(group.rank(), static_cast<std::int64_t>(i)));
    sums->reduce_scatter(TensorView(input.data(), DType::f32, {kEach * sums->size()}), TensorView(output.data(), DType::f32, {kEach}), ReduceOp::sum, {}, Deadline::after(60s));
    for (std::int64_t i = 0; i < kEach; ++i) ASSERT_EQ(output[static_cast<std::size_t>(i)], expected[static_cast<std::size_t>(group.rank() * kEach + i)]);
  });
}

INSTANTIATE_TEST_SUITE_P(Backends, Ordered, ::testing::Combine(::testing::Values("threads", "messages", "tcp", "gloo"), ::testing::Values(1, 2, 3, 5)), [](const auto& tested) {
  return std::get<0>(tested.param) + "_" + std::to_string(std::get<1>(tested.param));
});

TEST(OrderedBytes, AreARingsBytes) {
  for (const int ranks : {2, 3, 4}) {
    run_ranks_as_threads(ranks, [&](Collective& group) {
      const auto ring = static_cast<double>(ring_bytes_sent(400004, 0, ranks));
      EXPECT_NEAR(static_cast<double>(ordered(group)->all_reduce_bytes_sent(400004)), ring, 0.01 * ring);
    });
  }
}

}  // namespace
}  // namespace panther::comm::testing
