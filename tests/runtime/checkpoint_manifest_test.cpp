// The pure part: retention, manifest text, versions.
#include "runtime/checkpoint/manifest.h"
#include "tests/runtime/checkpoint_fixture.h"

namespace panther::runtime::testing {
namespace {

using Steps = std::vector<std::int64_t>;

TEST(Retention, KeepsTheNewestAndTheMultiples) {
  EXPECT_EQ(steps_to_delete({}, {.keep = 3}), Steps{});
  EXPECT_EQ(steps_to_delete({10, 20, 30}, {.keep = 3}), Steps{});
  EXPECT_EQ(steps_to_delete({10, 20, 30, 40, 50}, {.keep = 3}), (Steps{10, 20}));
  EXPECT_EQ(steps_to_delete({10, 20, 30, 40, 50}, {.keep = 1, .keep_every = 20}), (Steps{10, 30}));
  EXPECT_EQ(steps_to_delete({0, 7, 14}, {.keep = 1, .keep_every = 7}), Steps{});
}

TEST(Retention, NeverDeletesTheLast) {
  for (const std::int64_t keep : {-5, 0, 1}) EXPECT_EQ(steps_to_delete({3, 9}, {.keep = keep}), Steps{3});
}

Manifest sample_manifest() {
  Manifest manifest;
  const TrainingState state = sample_state(12);
  manifest.info.step = state.step;
  manifest.info.seed = state.seed;
  manifest.info.config_hash = state.config_hash;
  manifest.info.layers = state.layers;
  manifest.info.shape = state.shape;
  manifest.files.push_back(sums_of("model.safetensors", std::vector<std::byte>(2 * kChunkBytes + 1)));
  return manifest;
}

std::string replaced(std::string text, const std::string& from, const std::string& to) {
  const auto at = text.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  return text.replace(at, from.size(), to);
}

TEST(ManifestText, ReadsBackWhatItWrote) {
  const std::string text = manifest_text(sample_manifest());
  const Manifest back = parse_manifest(text, "m");
  EXPECT_EQ(manifest_text(back), text);
  EXPECT_EQ(back.info.seed, 0xfedcba9876543210ull);
  EXPECT_EQ(back.info.config_hash, 0x8000000000000001ull);
  ASSERT_EQ(back.info.layers.size(), 1u);
  EXPECT_EQ(back.info.layers[0].seed_key, 0xffffffffffffffffull);
  EXPECT_EQ(back.info.layers[0].spec.alpha, 0.1 + 0.2);
  EXPECT_EQ(back.info.shape.vocabulary, 300);
  EXPECT_TRUE(back.info.shape.regression);
  ASSERT_EQ(back.files.size(), 1u);
  EXPECT_EQ(back.files[0].chunks.size(), 3u);
  EXPECT_EQ(back.files[0].bytes, static_cast<std::int64_t>(2 * kChunkBytes + 1));
}

TEST(ManifestText, NewerVersionIsUnsupportedAndSaysWhatToDo) {
  const std::string text = manifest_text(sample_manifest());
  const Error newer = error_of([&] { parse_manifest(replaced(text, "\"version\": 1", "\"version\": 7"), "x/manifest.json"); });
  EXPECT_EQ(newer.code(), ErrorCode::Unsupported);
  EXPECT_NE(newer.message().find("version 7"), std::string::npos) << newer.what();
  EXPECT_NE(newer.message().find("at least as new"), std::string::npos) << newer.what();
  // A newer manifest may lack anything else.
  EXPECT_EQ(error_of([] { parse_manifest(R"({"format": "panther.checkpoint", "version": 2})", "m"); }).code(), ErrorCode::Unsupported);
  const auto other_signs = replaced(text, "\"sign_generator_version\": 1", "\"sign_generator_version\": 2");
  EXPECT_EQ(error_of([&] { parse_manifest(other_signs, "m"); }).code(), ErrorCode::Unsupported);
}

TEST(ManifestText, AnythingElseIsCorrupt) {
  const std::string text = manifest_text(sample_manifest());
  std::vector<std::string> bad{"", "{", "[]", "7", "{}", R"({"format": "other", "version": 1})",
                               replaced(text, "\"version\": 1", "\"version\": \"1\""), replaced(text, "\"version\": 1", "\"version\": 0"),
                               replaced(text, "\"model.safetensors\"", "\"../model.safetensors\""),
                               replaced(text, "\"bytes\": 8388609", "\"bytes\": -8388609"),
                               replaced(text, "\"bytes\": 8388609", "\"bytes\": 9223372036854775807"),
                               replaced(text, "\"chunk_bytes\": 4194304", "\"chunk_bytes\": 0"),
                               replaced(text, "fedcba9876543210", "fedcba987654321"), replaced(text, "\"step\": 12", "\"step\": null")};
  for (std::size_t length = 0; length + 1 < text.size(); length += 13) bad.push_back(text.substr(0, length));
  for (const std::string& manifest : bad)
    EXPECT_EQ(error_of([&] { parse_manifest(manifest, "m"); }).code(), ErrorCode::Corrupt) << manifest;
}

}  // namespace
}  // namespace panther::runtime::testing
