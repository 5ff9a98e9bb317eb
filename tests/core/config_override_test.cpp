#include <gtest/gtest.h>

#include "config_sample.h"
#include "case_name.h"
#include "expect_error.h"

namespace panther {
namespace {

using test::expect_error;
using test::load;
using test::SampleConfig;

constexpr const char* kTwoRules = "[[sketch]]\nmatch = \"a\"\n[[sketch]]\nmatch = \"b\"\n";

TEST(ConfigOverride, BeatsTheFileAndIsItsOwnPlace) {
  const auto [config, origin] = load("[optim]\nlr = 1", {"optim.lr=0.5", " seed = 7 "});
  EXPECT_EQ(config.optim.lr, 0.5);
  EXPECT_EQ(config.seed, 7);
  EXPECT_EQ(origin.at("optim.lr"), "optim.lr (--set optim.lr=0.5)");
  EXPECT_EQ(load("", {"seed=1", "seed=2"}).config.seed, 2) << "the last one wins";
}

TEST(ConfigOverride, BareWordsAreText) {
  EXPECT_EQ(load("", {"name=/usr/include/c++"}).config.name, "/usr/include/c++");
  EXPECT_EQ(load("", {"name=a=b"}).config.name, "a=b");
  EXPECT_EQ(load("", {"name=42"}).config.name, "42") << "text is wanted, so digits are text";
  EXPECT_EQ(load("", {"name=true"}).config.name, "true");
  EXPECT_EQ(load("", {"name=\"quoted # text\""}).config.name, "quoted # text");
  EXPECT_EQ(load("", {"name="}).config.name, "");
  EXPECT_EQ(load("", {"optim.schedule.kind=cosine"}).config.optim.schedule.kind, "cosine");
}

TEST(ConfigOverride, ReachesElementsOfArrays) {
  EXPECT_EQ(load(kTwoRules, {"sketch.1.sketch_size=8"}).config.sketch[1].sketch_size, 8);
  EXPECT_EQ(load(kTwoRules, {"sketch[0].match=c"}).config.sketch[0].match, "c");
  const auto appended = load(kTwoRules, {"sketch.2.match=c", "sketch.2.sketch_size=4"});
  ASSERT_EQ(appended.config.sketch.size(), 3u);
  EXPECT_EQ(appended.config.sketch[2].match, "c");
  EXPECT_EQ(appended.config.sketch[2].sketch_size, 4);
  EXPECT_EQ(appended.origin.at("sketch[2].match"), "sketch[2].match (--set sketch.2.match=c)");
}

TEST(ConfigOverride, ElementsOfDefaultArraysKeepTheirOtherValues) {
  const auto rules = load("", {"sketch.0.sketch_size=8", "sketch.1.match=x"}).config.sketch;
  ASSERT_EQ(rules.size(), 2u);
  EXPECT_EQ(rules[0].sketch_size, 8);
  EXPECT_EQ(rules[0].match, "*");
  EXPECT_EQ(rules[1].match, "x");
  EXPECT_EQ(load("", {"optim.betas.1=0.5"}).config.optim.betas, (std::vector<double>{0.9, 0.5}));
  EXPECT_EQ(load("[optim]\nbetas = [0.1, 0.2]", {"optim.betas.1=0.5"}).config.optim.betas, (std::vector<double>{0.1, 0.5}));
  EXPECT_EQ(load("", {"tags.0=b"}).config.tags, (std::vector<std::string>{"b"}));
}

TEST(ConfigOverride, WholeArraysAndSections) {
  EXPECT_EQ(load("", {"optim.betas=[0.1, 0.2, 0.3]"}).config.optim.betas.size(), 3u);
  EXPECT_TRUE(load(kTwoRules, {"sketch=[]"}).config.sketch.empty());
  const auto replaced = load(kTwoRules, {"sketch=[{match=\"z\"}]"}).config.sketch;
  ASSERT_EQ(replaced.size(), 1u);
  EXPECT_EQ(replaced[0].match, "z");
  const auto merged = load("[optim]\nlr = 1", {"optim={fused=false}"}).config.optim;
  EXPECT_EQ(merged.lr, 1);
  EXPECT_FALSE(merged.fused);
}

struct Bad {
  std::string override_text;
  std::string piece;
};
void PrintTo(const Bad& value, std::ostream* out) { *out << test::case_name(value.override_text); }
class BadOverrides : public testing::TestWithParam<Bad> {};

TEST_P(BadOverrides, AreErrorsThatQuoteTheOverride) {
  expect_error(ErrorCode::InvalidArgument, {"--set " + GetParam().override_text, GetParam().piece},
               [&] { load(kTwoRules, {GetParam().override_text}); });
}

INSTANTIATE_TEST_SUITE_P(
    Each, BadOverrides,
    testing::Values(Bad{"seed", "has no '='"}, Bad{"=1", "empty part"}, Bad{"optim..lr=1", "empty part"},
                    Bad{"sketch[0]x=1", "text follows ']'"}, Bad{"sed=1", "unknown key sed; did you mean seed?"},
                    Bad{"optim.lrr=1", "did you mean optim.lr?"}, Bad{"seed=fast", "seed wants a whole number, but is the text \"fast\""},
                    Bad{"seed=1\n2", "seed wants a whole number"}, Bad{"seed.x=1", "seed wants a whole number, but is a table"},
                    Bad{"sketch.3.match=x", "has 2 elements; the next new one is number 2"},
                    Bad{"sketch.match=x", "is an array; name an element"}, Bad{"sketch.0.match.x=1", "is the text \"a\", not a section"},
                    Bad{"tags=[a,b]", "text inside arrays and tables needs quotes"}, Bad{"name=\"open", "is not a TOML value"},
                    Bad{"optim.0=1", "unknown key optim.0"}, Bad{"widths.4=1", "widths has 0 elements"}));

}  // namespace
}  // namespace panther
