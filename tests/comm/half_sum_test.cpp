// Sums of halves over any backend's all_to_all and all_gather, here on threads and host memory.
#include "comm/backends/half_sum.h"

#include <gtest/gtest.h>

#include "comm/group.h"
#include "tests/comm/coded_values.h"

namespace panther::comm::testing {
namespace {

Deadline soon() { return Deadline::after(std::chrono::seconds(30)); }

class HalfSums : public ::testing::TestWithParam<int> {};

TEST_P(HalfSums, AreExactAndRoundedOnce) {
  run_ranks_as_threads(GetParam(), [](Collective& group) {
    HalfSum half_sum({});
    for (const DType dtype : {DType::bf16, DType::f16}) {
      const double big = dtype == DType::bf16 ? 256 : 2048;
      const float sum = static_cast<float>(big + group.size() - 1);
      const double rounded = dtype == DType::bf16 ? to_float(to_bf16(sum)) : to_float(to_f16(sum));
      for (const std::int64_t count : {0, 1, 7, 64, 1001}) {
        Values values(dtype, count);
        values.fill([&](std::int64_t) { return group.rank() == 0 ? big : 1.0; });
        half_sum.all_reduce(group, values.view(), {}, soon());
        EXPECT_EQ(values.first_wrong([&](std::int64_t) { return rounded; }), -1) << count;
        Values input(dtype, count * group.size());
        Values output(dtype, count);
        input.fill([&](std::int64_t i) { return static_cast<double>((group.rank() + i) % 2); });
        half_sum.reduce_scatter(group, input.view(), output.view(), {}, soon());
        const auto ones = [&](std::int64_t i) {
          int total = 0;
          for (int rank = 0; rank < group.size(); ++rank) total += static_cast<int>((rank + group.rank() * count + i) % 2);
          return static_cast<double>(total);
        };
        EXPECT_EQ(output.first_wrong(ones), -1) << count;
      }
    }
  });
}

// Beyond 64 ranks partial sums are kept in f32.
INSTANTIATE_TEST_SUITE_P(Ranks, HalfSums, ::testing::Values(1, 2, 3, 7, 70));

}  // namespace
}  // namespace panther::comm::testing
