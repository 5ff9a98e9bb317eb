#include "core/text.h"

#include <gtest/gtest.h>

#include <random>

namespace panther {
namespace {

TEST(Text, JoinFirstCountsTheRest) {
  EXPECT_EQ(join_first({}, 2), "");
  EXPECT_EQ(join_first({"a", "b"}, 2), "a, b");
  EXPECT_EQ(join_first({"a", "b", "c", "d"}, 2, "; "), "a; b; and 2 more");
}

TEST(Text, HumanBytesKeepsThreeDigits) {
  EXPECT_EQ(human_bytes(0), "0 B");
  EXPECT_EQ(human_bytes(512), "512 B");
  EXPECT_EQ(human_bytes(999), "999 B");
  EXPECT_EQ(human_bytes(1000), "0.977 KiB");
  EXPECT_EQ(human_bytes(1024), "1.00 KiB");
  EXPECT_EQ(human_bytes(1.46 * 1024 * 1024), "1.46 MiB");
  EXPECT_EQ(human_bytes(14.64 * 1024 * 1024), "14.6 MiB");
  EXPECT_EQ(human_bytes(999.4 * 1024), "999 KiB");
  EXPECT_EQ(human_bytes(80.0 * 1024 * 1024 * 1024), "80.0 GiB");
  EXPECT_EQ(human_bytes(-2048), "-2.00 KiB");
}

TEST(Text, HumanCount) {
  EXPECT_EQ(human_count(812), "812");
  EXPECT_EQ(human_count(12'900), "12.9 k");
  EXPECT_EQ(human_count(3'320'000), "3.32 M");
  EXPECT_EQ(human_count(999'600), "1.00 M");
  EXPECT_EQ(human_count(7e9), "7.00 G");
  EXPECT_EQ(human_count(5e20), "500000 P");
}

TEST(Text, HumanSecondsNeverShowsSixty) {
  EXPECT_EQ(human_seconds(0), "0.0 ms");
  EXPECT_EQ(human_seconds(0.0125), "12.5 ms");
  EXPECT_EQ(human_seconds(0.42), "0.42 s");
  EXPECT_EQ(human_seconds(42.34), "42.3 s");
  EXPECT_EQ(human_seconds(59.97), "1 min 00 s");
  EXPECT_EQ(human_seconds(185), "3 min 05 s");
  EXPECT_EQ(human_seconds(3599.7), "1 h 00 min");
  EXPECT_EQ(human_seconds(7800), "2 h 10 min");
  EXPECT_EQ(human_seconds(-0.42), "-0.42 s");
}

TEST(Text, NearestFindsTyposAndNothingElse) {
  const std::vector<std::string> names{"sketch_size", "seq_len", "lr", "kind", "warmup_steps"};
  EXPECT_EQ(nearest("sketchsize", names), "sketch_size");
  EXPECT_EQ(nearest("seq_length", names), "seq_len");
  EXPECT_EQ(nearest("knid", names), "kind") << "a swap of neighbours is one edit";
  EXPECT_EQ(nearest("warmupsteps", names), "warmup_steps");
  EXPECT_EQ(nearest("banana", names), "");
  EXPECT_EQ(nearest("xy", names), "") << "two edits of two letters leave nothing in common";
  EXPECT_EQ(nearest("lr", {}), "");
}

/// The definition, by recursion.
bool matches(std::string_view pattern, std::string_view name) {
  if (pattern.empty()) return name.empty();
  if (pattern.front() == '*') return matches(pattern.substr(1), name) || (!name.empty() && matches(pattern, name.substr(1)));
  if (name.empty() || (pattern.front() != '?' && pattern.front() != name.front())) return false;
  return matches(pattern.substr(1), name.substr(1));
}

TEST(Text, GlobAgreesWithItsDefinition) {
  std::mt19937 random(5);
  const auto word = [&](std::string_view letters) {
    std::string text(random() % 8, ' ');
    for (char& c : text) c = letters[random() % letters.size()];
    return text;
  };
  int hits = 0;
  for (int i = 0; i < 20000; ++i) {
    const std::string pattern = word("ab*?."), name = word("ab.");
    hits += matches(pattern, name) ? 1 : 0;
    ASSERT_EQ(glob_match(pattern, name), matches(pattern, name)) << pattern << " against " << name;
  }
  EXPECT_GT(hits, 500);
  EXPECT_TRUE(glob_match("blocks.*.mlp.*", "blocks.11.mlp.up.weight"));
  EXPECT_FALSE(glob_match("blocks.*.mlp", "blocks.1.mlp.up"));
}

TEST(Text, ConcatAndJoin) {
  EXPECT_EQ(concat("rank ", 3, " of ", 4u, ' ', 0.5), "rank 3 of 4 0.5");
  EXPECT_EQ(join(std::vector<int>{1, 2, 3}, "x"), "1x2x3");
  EXPECT_EQ(join(std::vector<std::string>{}), "");
}

}  // namespace
}  // namespace panther
