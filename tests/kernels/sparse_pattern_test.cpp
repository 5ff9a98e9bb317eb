// Hashes and permutations: equal to the textbook algorithm, distinct, uniform.
#include "kernels/element/sparse_pattern.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>
#include <set>
#include <vector>

#include "kernels/sketch/sample_rows.h"

namespace panther {
namespace {

struct Entries {
  std::vector<std::int64_t> place;
  std::vector<double> value;
};

Entries entries_of(const SparsePattern& pattern, std::int64_t major) {
  std::int64_t place[kMaxNonzeros], from[kMaxNonzeros], to[kMaxNonzeros];
  double value[kMaxNonzeros];
  const int count = pattern_entries(pattern, major, place, value, from, to);
  return {{place, place + count}, {value, value + count}};
}

SparsePattern pattern_of(PatternDraw draw, int nonzeros, std::int64_t minors, std::uint64_t seed = 3) {
  return {draw, nonzeros, SignKey::of(seed, "test"), minors};
}

/// The chi-square statistic of counts that should be equal exceeds this with a probability of 1e-6 (Wilson-Hilferty).
double chi_square_limit(std::size_t cells) {
  const double dof = static_cast<double>(cells) - 1, z = 4.753, t = 1 - 2 / (9 * dof) + z * std::sqrt(2 / (9 * dof));
  return dof * t * t * t;
}

double chi_square(const std::vector<std::int64_t>& counts) {
  const double expected = static_cast<double>(std::accumulate(counts.begin(), counts.end(), std::int64_t{0})) / static_cast<double>(counts.size());
  double sum = 0;
  for (const std::int64_t count : counts) sum += (static_cast<double>(count) - expected) * (static_cast<double>(count) - expected) / expected;
  return sum;
}

TEST(ScaleToRange, IsTheHighHalfOfTheProduct) {
  for (const std::uint64_t range : {std::uint64_t{1}, std::uint64_t{7}, std::uint64_t{1280}, std::uint64_t{1} << 32}) {
    for (std::uint64_t i = 0; i < 1000; ++i) {
      const std::uint64_t bits = i == 0 ? ~std::uint64_t{0} : mix64(i, range);
      const auto expected = static_cast<std::int64_t>(std::floor(std::ldexp(static_cast<long double>(bits), -64) * static_cast<long double>(range)));
      ASSERT_EQ(scale_to_range(bits, range), expected) << bits << " " << range;
    }
  }
}

// The shuffle over a real array, undone by throwing the array away.
TEST(SparsePattern, DistinctPlacesAreAFisherYatesShuffle) {
  for (const auto& [nonzeros, minors] : {std::pair{1, 1}, {4, 4}, {3, 5}, {8, 1280}, {256, 256}, {256, 300}}) {
    const SparsePattern pattern = pattern_of(PatternDraw::distinct, nonzeros, minors);
    for (std::int64_t major = 0; major < 50; ++major) {
      std::vector<std::int64_t> array(static_cast<std::size_t>(minors));
      std::iota(array.begin(), array.end(), std::int64_t{0});
      const Entries entries = entries_of(pattern, major);
      ASSERT_EQ(entries.place.size(), static_cast<std::size_t>(nonzeros));
      for (int t = 0; t < nonzeros; ++t) {
        const std::uint64_t bits = pattern_bits(pattern.key, major, t);
        std::swap(array[static_cast<std::size_t>(scale_to_range(bits, static_cast<std::uint64_t>(minors - t)))], array[static_cast<std::size_t>(minors - 1 - t)]);
        ASSERT_EQ(entries.place[static_cast<std::size_t>(t)], array[static_cast<std::size_t>(minors - 1 - t)]);
        ASSERT_EQ(entries.value[static_cast<std::size_t>(t)], bits % 2 == 0 ? 1.0 : -1.0);
      }
    }
  }
}

TEST(SparsePattern, ADrawIsReadFromItsCounterAlone) {
  const SignKey key = SignKey::of(11, "operator", 2);
  const PhiloxBlock block = philox({{77, 1, 2, static_cast<std::uint32_t>(RandomDomain::hashes)}}, PhiloxKey::from(key.key));
  EXPECT_EQ(pattern_bits(key, 77, 2), static_cast<std::uint64_t>(block.word[0]) << 32 | block.word[1]);
  EXPECT_EQ(pattern_bits(key, 77, 3), static_cast<std::uint64_t>(block.word[2]) << 32 | block.word[3]);
}

TEST(SparsePattern, RepeatedPlacesHaveRootsOfTheirMultiplicity) {
  const SparsePattern pattern = pattern_of(PatternDraw::repeated, 64, 9);
  for (std::int64_t major = 0; major < 20; ++major) {
    std::map<std::int64_t, int> drawn;
    for (int t = 0; t < 64; ++t) ++drawn[scale_to_range(pattern_bits(pattern.key, major, t), 9)];
    const Entries entries = entries_of(pattern, major);
    ASSERT_EQ(entries.place.size(), drawn.size());
    for (std::size_t e = 0; e < entries.place.size(); ++e) EXPECT_EQ(std::abs(entries.value[e]), std::sqrt(drawn[entries.place[e]]));
  }
}

// Each of four draws of a column, with its sign: 64 places x 2 signs. Fails with probability 1e-6 a draw for a true uniform.
TEST(SparsePattern, PlacesAndSignsAreUniform) {
  constexpr std::int64_t minors = 64, majors = 60000;
  for (const PatternDraw draw : {PatternDraw::distinct, PatternDraw::repeated}) {
    const SparsePattern pattern = pattern_of(draw, draw == PatternDraw::distinct ? 4 : 1, minors);
    std::vector<std::vector<std::int64_t>> counts(4, std::vector<std::int64_t>(2 * minors));
    for (std::int64_t j = 0; j < majors; ++j) {
      const Entries entries = entries_of(pattern, j);
      for (std::size_t t = 0; t < entries.place.size(); ++t) ++counts[t][static_cast<std::size_t>(2 * entries.place[t] + (entries.value[t] < 0))];
    }
    for (int t = 0; t < pattern.nonzeros; ++t) EXPECT_LT(chi_square(counts[static_cast<std::size_t>(t)]), chi_square_limit(2 * minors)) << "draw " << t;
  }
}

// The unordered pair of a column's two places: 45 equally likely ones; and of neighbouring columns' places: 100.
TEST(SparsePattern, PairsAreUniform) {
  const SparsePattern pattern = pattern_of(PatternDraw::distinct, 2, 10);
  std::vector<std::int64_t> within(45), across(100);
  std::int64_t last = -1;
  for (std::int64_t j = 0; j < 90000; ++j) {
    const Entries entries = entries_of(pattern, j);
    const auto [low, high] = std::minmax(entries.place[0], entries.place[1]);
    ASSERT_NE(low, high);
    ++within[static_cast<std::size_t>(high * (high - 1) / 2 + low)];
    if (last >= 0) ++across[static_cast<std::size_t>(last * 10 + entries.place[0])];
    last = entries.place[0];
  }
  EXPECT_LT(chi_square(within), chi_square_limit(45));
  EXPECT_LT(chi_square(across), chi_square_limit(100));
}

TEST(SampleWithoutReplacement, IsAPrefixOfAPermutation) {
  for (const std::int64_t size : {1, 2, 64, 1000}) {
    const SignKey key = SignKey::of(5, "sample");
    const std::vector<std::int64_t> all = sample_without_replacement(key, size, size);
    EXPECT_EQ(std::set<std::int64_t>(all.begin(), all.end()).size(), static_cast<std::size_t>(size));
    EXPECT_EQ(*std::min_element(all.begin(), all.end()), 0);
    EXPECT_EQ(*std::max_element(all.begin(), all.end()), size - 1);
    const std::vector<std::int64_t> some = sample_without_replacement(key, size, size / 2);
    EXPECT_TRUE(std::equal(some.begin(), some.end(), all.begin()));
  }
  EXPECT_EQ(sample_without_replacement({}, std::int64_t{1} << 32, 5).size(), 5u) << "memory follows the count, not the size";
}

// All 24 permutations of four equally often over keys; ordered first pairs of eight too.
TEST(SampleWithoutReplacement, IsUniform) {
  std::map<std::vector<std::int64_t>, std::int64_t> whole;
  std::vector<std::int64_t> pairs(56);
  for (std::uint64_t seed = 0; seed < 24000; ++seed) {
    ++whole[sample_without_replacement(SignKey::of(seed, "u"), 4, 4)];
    const std::vector<std::int64_t> pair = sample_without_replacement(SignKey::of(seed, "v"), 8, 2);
    ++pairs[static_cast<std::size_t>(pair[0] * 7 + pair[1] - (pair[1] > pair[0]))];
  }
  ASSERT_EQ(whole.size(), 24u);
  std::vector<std::int64_t> counts;
  for (const auto& [permutation, count] : whole) counts.push_back(count);
  EXPECT_LT(chi_square(counts), chi_square_limit(24));
  EXPECT_LT(chi_square(pairs), chi_square_limit(56));
}

}  // namespace
}  // namespace panther
