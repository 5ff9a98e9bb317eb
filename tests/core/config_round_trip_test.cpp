#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <random>

#include "config_sample.h"

namespace panther {
namespace {

using test::load;
using test::SampleConfig;

/// Values of every size and text with every awkward character.
class Draw {
 public:
  explicit Draw(unsigned seed) : random_(seed) {}
  std::uint64_t below(std::uint64_t n) { return random_() % n; }
  double real(double low, double high) { return low + (high - low) * (static_cast<double>(random_() >> 11) * 0x1p-53); }
  double any_positive() {
    const double value = std::fabs(std::bit_cast<double>(random_()));
    return std::isnan(value) ? 0.0 : value;
  }
  std::string text() {
    static const std::vector<std::string> pieces{"a", "\"", "\\", "\n", "\t", "\r", "\x01", "\x7f", "é", "𝄞", "#", "=", "[", "'", " "};
    std::string result;
    for (std::uint64_t i = below(8); i > 0; --i) result += pieces[below(pieces.size())];
    return result;
  }

 private:
  std::mt19937_64 random_;
};

SampleConfig random_config(unsigned seed) {
  Draw draw(seed);
  SampleConfig config;
  config.name = draw.text();
  config.seed = static_cast<std::int64_t>(draw.below(std::numeric_limits<std::uint64_t>::max()));
  config.widths.clear();
  for (std::uint64_t i = draw.below(4); i > 0; --i) config.widths.push_back(static_cast<std::int64_t>(1 + draw.below(1u << 30)));
  config.tags.assign(draw.below(3), "b");
  config.optim.lr = draw.any_positive();
  config.optim.fused = draw.below(2) == 0;
  config.optim.betas.assign(draw.below(3), draw.real(0, 1));
  config.optim.schedule.warmup = draw.real(0, 1);
  config.optim.schedule.kind = draw.below(2) == 0 ? "cosine" : "constant";
  config.sketch.resize(draw.below(4));
  for (auto& rule : config.sketch) {
    rule.match = draw.text();
    rule.sketch_size = static_cast<std::int64_t>(1 + draw.below(1048576));
    rule.scales.assign(draw.below(3), -draw.any_positive());
  }
  return config;
}

TEST(ConfigRoundTrip, WrittenConfigurationsLoadToEqualValues) {
  for (unsigned seed = 0; seed < 500; ++seed) {
    SampleConfig config = random_config(seed);
    const std::string text = config_to_toml(visit_of(config));
    SampleConfig back = load(text).config;
    ASSERT_EQ(back, config) << text;
    ASSERT_EQ(config_to_toml(visit_of(back)), text);
    ASSERT_EQ(config_hash(visit_of(back)), config_hash(visit_of(config)));
  }
}

TEST(ConfigRoundTrip, SpecialNumbers) {
  SampleConfig config;
  config.sketch[0].scales = {std::numeric_limits<double>::infinity(), -0.0, 5e-324, 0.1, 1e22, std::numeric_limits<double>::quiet_NaN()};
  const auto back = load(config_to_toml(visit_of(config))).config.sketch[0].scales;
  ASSERT_EQ(back.size(), 6u);
  for (std::size_t i = 0; i < 5; ++i)
    EXPECT_EQ(std::bit_cast<std::uint64_t>(back[i]), std::bit_cast<std::uint64_t>(config.sketch[0].scales[i]));
  EXPECT_TRUE(std::isnan(back[5]));
}

TEST(ConfigValues, AreTomlByKey) {
  SampleConfig config = load("seed = 7\n[optim]\nlr = 0.5\n[[sketch]]\nmatch = \"a\"\n[[sketch]]\nmatch = \"b.\\\"*\"\n").config;
  const auto values = config_values(visit_of(config));
  EXPECT_EQ(values.at("seed"), "7");
  EXPECT_EQ(values.at("optim.lr"), "0.5");
  EXPECT_EQ(values.at("optim.schedule.kind"), "\"constant\"");
  EXPECT_EQ(values.at("sketch[0].match"), "\"a\"");
  EXPECT_EQ(values.at("sketch[1].match"), R"("b.\"*")");
  EXPECT_FALSE(values.contains("sketch[2].match"));
}

std::uint64_t hash_of(std::string_view text, const std::vector<std::string>& overrides = {}) {
  SampleConfig config = load(text, overrides).config;
  return config_hash(visit_of(config));
}

TEST(ConfigHash, DependsOnValuesAlone) {
  const std::uint64_t hash = hash_of("seed = 1000\n[optim]\nlr = 0.5\n[optim.schedule]\nkind = \"cosine\"");
  EXPECT_EQ(hash, hash_of("# comment\n optim.schedule.kind = 'cosine'\noptim.lr = 5e-1\nseed = 1_000"));
  EXPECT_EQ(hash, hash_of("", {"seed=0x3e8", "optim.lr=0.5", "optim.schedule.kind=cosine"}));
  EXPECT_EQ(hash_of(""), hash_of("seed = 0\nname = \"run\"")) << "a default written out is the same configuration";
}

TEST(ConfigHash, EveryChangeShows) {
  std::set<std::uint64_t> seen{hash_of("")};
  for (const char* change :
       {"seed=1", "seed=2", "name=x", "optim.lr=0.0030000000000000005", "optim.fused=false", "optim.betas=[0.95,0.9]", "optim.betas=[0.9]",
        "sketch=[]", "sketch.1.match=\"*\"", "sketch.0.scales=[]", "tags=[\"b\"]", "tags=[]", "widths=[1]", "widths=[11]"})
    EXPECT_TRUE(seen.insert(hash_of("", {change})).second) << change;
}

TEST(ConfigHelp, OneLinePerKeyWithTypeDefaultLimitsAndSentence) {
  SampleConfig config;
  const std::string help = config_help(visit_of(config));
  EXPECT_NE(help.find("[optim]  how parameters change\n"), std::string::npos) << help;
  const auto line = [&help](const std::string& key) {
    const std::size_t at = help.find("  " + key + " = ");
    return at == std::string::npos ? std::string() : help.substr(at, help.find('\n', at) - at);
  };
  EXPECT_TRUE(line("optim.lr").ends_with("number >= 0; peak learning rate")) << help;
  EXPECT_TRUE(line("optim.lr").starts_with("  optim.lr = 0.003 "));
  EXPECT_TRUE(line("optim.schedule.kind").ends_with("text (constant | cosine | stable_decay); shape of the learning rate"));
  EXPECT_TRUE(line("sketch[].sketch_size").ends_with("integer from 1 to 1048576; R"));
  EXPECT_TRUE(line("widths").ends_with("integers >= 1 features; of the layers"));
}

TEST(ConfigSchema, HasTheSameFactsAsJson) {
  SampleConfig config;
  config.sketch.clear();
  const auto schema = nlohmann::json::parse(config_schema_json(visit_of(config)));
  std::map<std::string, nlohmann::json> fields;
  for (const auto& field : schema.at("fields")) fields[field.at("key")] = field;
  EXPECT_EQ(fields.size(), 12u);
  EXPECT_EQ(fields.at("optim.lr").at("default"), 0.003);
  EXPECT_EQ(fields.at("optim.lr").at("min"), 0);
  EXPECT_FALSE(fields.at("optim.lr").contains("max"));
  EXPECT_EQ(fields.at("widths").at("unit"), "features");
  EXPECT_EQ(fields.at("optim.schedule.kind").at("choices").size(), 3u);
  EXPECT_EQ(fields.at("sketch[].sketch_size").at("default"), 16) << "described from the element's type, not from the elements";
  ASSERT_EQ(schema.at("sections").size(), 3u);
  EXPECT_EQ(schema.at("sections")[2].at("key"), "sketch[]");
  EXPECT_EQ(schema.at("sections")[2].at("array"), true);
}

}  // namespace
}  // namespace panther
