#include <cmath>
#include <set>

#include "runtime/data/dataset.h"

namespace panther::runtime {
namespace {

TEST(Sampler, VisitsEverySampleOncePerEpoch) {
  for (const std::int64_t size : {1, 2, 3, 4, 5, 7, 8, 9, 63, 64, 65, 1000, 4097}) {
    for (std::int64_t epoch = 0; epoch < 3; ++epoch) {
      std::vector<int> seen(static_cast<std::size_t>(size), 0);
      for (std::int64_t i = 0; i < size; ++i) {
        const SampleRef sample = sample_at(42, size, epoch * size + i);
        ASSERT_EQ(sample.epoch, epoch);
        ASSERT_EQ(sample.position, epoch * size + i);
        ASSERT_GE(sample.index, 0);
        ASSERT_LT(sample.index, size);
        ++seen[static_cast<std::size_t>(sample.index)];
      }
      for (const int count : seen) ASSERT_EQ(count, 1) << "size " << size;
    }
  }
}

TEST(Sampler, HandlesVeryLargeSets) {
  const std::int64_t size = (std::int64_t{1} << 61) + 12345;
  std::set<std::int64_t> seen;
  for (std::int64_t i = 0; i < 2000; ++i) {
    const SampleRef sample = sample_at(7, size, i);
    EXPECT_GE(sample.index, 0);
    EXPECT_LT(sample.index, size);
    seen.insert(sample.index);
  }
  EXPECT_EQ(seen.size(), 2000u);
}

std::vector<std::int64_t> order(std::uint64_t seed, std::int64_t size, std::int64_t epoch) {
  std::vector<std::int64_t> result;
  for (std::int64_t i = 0; i < size; ++i) result.push_back(sample_at(seed, size, epoch * size + i).index);
  return result;
}

TEST(Sampler, EpochsAndSeedsHaveTheirOwnOrder) {
  EXPECT_EQ(order(1, 100, 0), order(1, 100, 0));
  EXPECT_NE(order(1, 100, 0), order(1, 100, 1));
  EXPECT_NE(order(1, 100, 0), order(2, 100, 0));
}

// Where sample 0 comes over many seeds is uniform: chi-square with 15 degrees of freedom exceeds 44.3 with probability 1e-4.
TEST(Sampler, PlacesAreUniformOverSeeds) {
  constexpr std::int64_t kSize = 16;
  constexpr int kSeeds = 16000;
  std::vector<double> first(kSize, 0), last(kSize, 0);
  for (std::uint64_t seed = 0; seed < kSeeds; ++seed) {
    ++first[static_cast<std::size_t>(sample_at(seed, kSize, 0).index)];
    ++last[static_cast<std::size_t>(sample_at(seed, kSize, kSize - 1).index)];
  }
  const double expected = static_cast<double>(kSeeds) / kSize;
  double chi_first = 0, chi_last = 0;
  for (std::size_t i = 0; i < kSize; ++i) {
    chi_first += (first[i] - expected) * (first[i] - expected) / expected;
    chi_last += (last[i] - expected) * (last[i] - expected) / expected;
  }
  EXPECT_LT(chi_first, 44.3);
  EXPECT_LT(chi_last, 44.3);
}

// Neighbours in the order are not neighbours in the data: the mean distance of two uniform places is size / 3; its standard error over
// n - 1 overlapping pairs is below 0.3 size / sqrt(n), five of them are allowed.
TEST(Sampler, NeighboursAreFarApart) {
  constexpr std::int64_t kSize = 10000;
  const std::vector<std::int64_t> places = order(3, kSize, 0);
  double sum = 0;
  for (std::size_t i = 1; i < places.size(); ++i) sum += std::abs(static_cast<double>(places[i] - places[i - 1]));
  const double mean = sum / static_cast<double>(kSize - 1);
  EXPECT_NEAR(mean, kSize / 3.0, 5 * 0.3 * kSize / std::sqrt(static_cast<double>(kSize)));
}

TEST(Share, CutsAnyTotalWithoutGapsOrOverlap) {
  for (const std::int64_t total : {0, 1, 2, 3, 7, 8, 100}) {
    for (const int world : {1, 2, 3, 7, 8}) {
      std::int64_t next = 0;
      for (int rank = 0; rank < world; ++rank) {
        const Share share = share_of(total, world, rank);
        EXPECT_EQ(share.begin, next);
        EXPECT_EQ(share.count, total / world + (rank < total % world ? 1 : 0));
        next += share.count;
      }
      EXPECT_EQ(next, total);
    }
  }
  EXPECT_EQ(share_of(8, 3, 0).count, 3);
  EXPECT_EQ(share_of(8, 3, 2).count, 2);
}

}  // namespace
}  // namespace panther::runtime
