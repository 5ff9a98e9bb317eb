#include "kernels/linalg/memory_need.h"

#include <gtest/gtest.h>

#include <limits>

#include "core/error.h"
#include "tests/kernels/linalg_fixture.h"

namespace panther::test {
namespace {

std::string refusal(const linalg::Context& context, double bytes) {
  try {
    linalg::require_memory(context, "work", bytes, Device{});
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::OutOfMemory);
    return error.what();
  }
  return "";
}

TEST(MemoryNeed, OneProcessSaysWhatItLacks) {
  if (linalg::available_bytes(Device{}) == std::numeric_limits<std::int64_t>::max()) GTEST_SKIP() << "the system does not say what is free";
  EXPECT_EQ(refusal({}, 1), "");
  EXPECT_NE(refusal({}, 1e18).find("work needs about"), std::string::npos);
}

// Alone, ranks 0 and 2 would wait in the sum that follows.
TEST(MemoryNeed, AllRanksRefuseWhenOneLacksMemory) {
  if (linalg::available_bytes(Device{}) == std::numeric_limits<std::int64_t>::max()) GTEST_SKIP() << "the system does not say what is free";
  std::vector<std::string> said(3);
  on_ranks(3, 9, 1, [&](const linalg::Context& context, int rank) {
    EXPECT_EQ(refusal(context, 1), "");
    said[static_cast<std::size_t>(rank)] = refusal(context, rank == 1 ? 1e18 : 1);
  });
  EXPECT_NE(said[1].find("needs about"), std::string::npos) << said[1];
  for (const int other : {0, 2}) EXPECT_NE(said[static_cast<std::size_t>(other)].find("another rank lacks memory"), std::string::npos) << said[static_cast<std::size_t>(other)];
}

TEST(OnRanks, ARankThatThrowsDoesNotStopTheOthersForEver) {
  EXPECT_THROW(on_ranks(3, 9, 1, [&](const linalg::Context& context, int rank) {
    if (rank == 0) throw std::out_of_range("of one rank");
    double value = 1;
    context.sum_over_ranks(TensorView(&value, DType::f64, {1}));
  }), std::out_of_range);
}

}  // namespace
}  // namespace panther::test
