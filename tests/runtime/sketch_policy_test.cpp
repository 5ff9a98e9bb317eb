#include "core/error.h"
#include "runtime/layers/linear_registry.h"
#include "runtime/sketch/spec.h"

namespace panther::runtime {
namespace {

ConfigOrigin origin_of(const std::string& key, const std::string& place) {
  ConfigOrigin origin;
  origin.record(key, place);
  return origin;
}

std::string message_of(const std::function<void()>& call) {
  try {
    call();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::InvalidArgument);
    return error.what();
  }
  ADD_FAILURE() << "nothing thrown";
  return {};
}

TEST(SketchPolicy, LastMatchWins) {
  SketchPolicy policy({{"blocks.*", "sketched", 8, "scratch"}, {"blocks.*.mlp.*", "factorized", 4, "scratch"}, {"blocks.1.*", "dense", 1, "scratch"}}, {});
  EXPECT_EQ(policy.spec_for("blocks.0.attention.qkv", 16, 48).kind, "sketched");
  EXPECT_DOUBLE_EQ(policy.spec_for("blocks.0.attention.qkv", 16, 48).alpha, 0.5 / std::sqrt(8.0));
  EXPECT_EQ(policy.spec_for("blocks.0.mlp.up", 16, 64).kind, "factorized");
  EXPECT_EQ(policy.spec_for("blocks.0.mlp.up", 16, 64).sketch_size, 4);
  EXPECT_EQ(policy.spec_for("blocks.1.mlp.up", 16, 64).kind, "dense");
  EXPECT_EQ(policy.spec_for("head", 16, 64).kind, "dense");
  EXPECT_NO_THROW(policy.check_all_matched());
}

TEST(SketchPolicy, SizeAboveTheSmallerSideNamesPlaceAndLayer) {
  SketchPolicy policy({{"*", "sketched", 17, "scratch"}}, origin_of("sketch[0].sketch_size", "train.toml:12:3"));
  const std::string message = message_of([&] { policy.spec_for("blocks.0.mlp.up", 64, 16); });
  for (const char* part : {"train.toml:12:3", "17", "16", "blocks.0.mlp.up"}) EXPECT_NE(message.find(part), std::string::npos) << message;
  SketchPolicy fits({{"*", "sketched", 16, "scratch"}}, {});
  EXPECT_EQ(fits.spec_for("x", 64, 16).sketch_size, 16);
}

TEST(SketchPolicy, PatternWithoutLayerNamesTheNearestPaths) {
  SketchPolicy policy({{"*", "sketched", 2, "scratch"}, {"block.*.mlp.upp", "sketched", 2, "scratch"}}, origin_of("sketch[1].match", "t.toml:4:1"));
  for (const char* path : {"blocks.0.attention.qkv", "blocks.0.mlp.up", "blocks.0.mlp.down"}) policy.spec_for(path, 8, 8);
  const std::string message = message_of([&] { policy.check_all_matched(); });
  for (const char* part : {"t.toml:4:1", "block.*.mlp.upp", "blocks.0.mlp.up"}) EXPECT_NE(message.find(part), std::string::npos) << message;
}

TEST(SketchPolicy, RefusesContradictions) {
  message_of([] { SketchPolicy({{"", "sketched", 4, "scratch"}}, {}); });
  message_of([] { SketchPolicy({{"*", "factorized", 4, "unbiased"}}, {}); });
  message_of([] { SketchPolicy({{"*", "sketched", 0, "scratch"}}, {}); });
}

TEST(SketchRule, ChoicesAreTheFamily) {
  struct Choices final : FieldVisitor {
    std::vector<std::string> kinds;
    void field(std::string_view, bool&, const FieldInfo&) override {}
    void field(std::string_view, std::int64_t&, const FieldInfo&) override {}
    void field(std::string_view, double&, const FieldInfo&) override {}
    void field(std::string_view name, std::string&, const FieldInfo& info) override { if (name == "kind") kinds = info.choices; }
    void field(std::string_view, std::vector<double>&, const FieldInfo&) override {}
    void field(std::string_view, std::vector<std::int64_t>&, const FieldInfo&) override {}
    void field(std::string_view, std::vector<std::string>&, const FieldInfo&) override {}
    void begin_section(std::string_view, std::string_view) override {}
    void end_section() override {}
    void array_section(std::string_view, std::string_view, const ArrayAccess&) override {}
  };
  Choices choices;
  SketchRule{}.fields(choices);
  EXPECT_THAT(choices.kinds, testing::UnorderedElementsAreArray(linear_registry().names()));
}

}  // namespace
}  // namespace panther::runtime
