#include "kernels/philox.h"

#include <gtest/gtest.h>

#include <cmath>

namespace panther {
namespace {

void expect_words(const PhiloxBlock& block, std::array<std::uint32_t, 4> expected) {
  for (int i = 0; i < 4; ++i) EXPECT_EQ(block.word[i], expected[i]) << "word " << i;
}

// The three vectors of Random123's kat_vectors for philox4x32-10.
TEST(Philox, KnownAnswers) {
  expect_words(philox({{0, 0, 0, 0}}, {0, 0}), {0x6627e8d5u, 0xe169c58du, 0xbc57ac4cu, 0x9b00dbd8u});
  expect_words(philox({{~0u, ~0u, ~0u, ~0u}}, {~0u, ~0u}), {0x408f276du, 0x41c83b0eu, 0xa20bc7c6u, 0x6d5451fdu});
  expect_words(philox({{0x243f6a88u, 0x85a308d3u, 0x13198a2eu, 0x03707344u}}, {0xa4093822u, 0x299f31d0u}),
               {0xd16cfe09u, 0x94fdccebu, 0x5001e420u, 0x24126ea1u});
}

TEST(Philox, IsAConstantExpression) {
  static_assert(philox({{0, 0, 0, 0}}, {0, 0}).word[0] == 0x6627e8d5u);
  static_assert(PhiloxKey::from(0x123456789abcdef0ull).low == 0x9abcdef0u && PhiloxKey::from(0x123456789abcdef0ull).high == 0x12345678u);
}

// FNV-1a's published vectors for "" and "a".
TEST(Philox, NameHash) {
  EXPECT_EQ(hash_name("", 0), 0xcbf29ce484222325ull);
  EXPECT_EQ(hash_name("a", 1), 0xaf63dc4c8601ec8cull);
}

// SplitMix64 seeded with 0: its first outputs are the finaliser of 1, 2 … times the golden gamma.
TEST(Philox, MixIsSplitMix) {
  EXPECT_EQ(mix64(0, 0), 0xe220a8397b1dcdafull);
  EXPECT_EQ(mix64(0, 1), 0x6e789e6aa1b965f4ull);
  EXPECT_NE(mix64(1, 2), mix64(2, 1));
}

TEST(Philox, UniformStaysInside) {
  EXPECT_GT(uniform_open(0), 0.0f);
  EXPECT_LT(uniform_open(~0u), 1.0f);
  double sum = 0, squares = 0;
  constexpr int count = 40000;
  for (std::uint32_t i = 0; i < count; ++i) {
    const double u = uniform_open(philox({{i, 0, 0, 0}}, {7, 0}).word[0]);
    sum += u;
    squares += u * u;
  }
  // Standard errors: sqrt(1/12/n) = 0.0014 and sqrt(4/45/n) = 0.0015; five of each.
  EXPECT_NEAR(sum / count, 0.5, 0.0075);
  EXPECT_NEAR(squares / count, 1.0 / 3.0, 0.0075);
}

}  // namespace
}  // namespace panther
