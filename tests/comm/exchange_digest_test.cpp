// Ranks that differ hear it before training, all of them, in the same words.
#include <gtest/gtest.h>

#include "tests/comm/exchange_world.h"

namespace panther::comm {
namespace {

using testing::catch_error;
using testing::Thrown;
using Digests = std::vector<std::pair<std::string, std::uint64_t>>;

std::vector<Thrown> compare(int ranks, const std::function<Digests(int)>& digests_of) {
  std::vector<Thrown> thrown(static_cast<std::size_t>(ranks));
  run_ranks_as_threads(ranks, [&](Collective& collective) {
    thrown[static_cast<std::size_t>(collective.rank())] =
        catch_error([&] { require_equal_digests(collective, digests_of(collective.rank()), Deadline::after(std::chrono::seconds(30))); });
    collective.barrier(Deadline::after(std::chrono::seconds(30)));  // the group is alive after a refusal
  });
  return thrown;
}

void expect_all(const std::vector<Thrown>& thrown, std::initializer_list<const char*> parts) {
  for (const Thrown& each : thrown) {
    EXPECT_TRUE(each.any);
    EXPECT_EQ(each.code, ErrorCode::InvalidArgument);
    EXPECT_EQ(each.message, thrown[0].message);
    for (const char* part : parts) EXPECT_NE(each.message.find(part), std::string::npos) << part << " in: " << each.message;
  }
}

TEST(ExchangeDigests, EqualOnesPass) {
  for (const int ranks : {1, 2, 5}) {
    for (const Thrown& each : compare(ranks, [](int) { return Digests{{"parameters", 1}, {"sketch seeds", ~0ull}}; })) EXPECT_FALSE(each.any);
    for (const Thrown& each : compare(ranks, [](int) { return Digests{}; })) EXPECT_FALSE(each.any);
  }
}

TEST(ExchangeDigests, TheOddRankIsNamedWithBothValues) {
  const auto thrown = compare(3, [](int rank) { return Digests{{"parameters", 1}, {"configuration", rank == 0 ? 0xabcull : 0xdefull}}; });
  expect_all(thrown, {"configuration: rank 0 has 0x0000000000000abc, rank 1 has 0x0000000000000def"});
  EXPECT_EQ(thrown[0].message.find("parameters:"), std::string::npos);
}

TEST(ExchangeDigests, SeveralDifferencesAndRanks) {
  const auto thrown = compare(5, [](int rank) {
    return Digests{{"sketch seeds", rank == 4 ? 1ull : 2ull}, {"binary", rank % 2 == 1 ? 7ull : 8ull}};
  });
  expect_all(thrown, {"sketch seeds: rank 4", "binary: rank 1", "differing ranks: 1, 3"});
}

TEST(ExchangeDigests, ListsOfDifferentLengthAreADifferenceToo) {
  const auto thrown = compare(2, [](int rank) { return rank == 0 ? Digests{{"parameters", 1}} : Digests{{"parameters", 1}, {"data", 2}}; });
  expect_all(thrown, {"list of compared things", "rank 0", "rank 1"});
}

}  // namespace
}  // namespace panther::comm
