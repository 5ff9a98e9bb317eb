#include "core/config_file.h"

#include <gtest/gtest.h>

#include <cmath>

#include "config_sample.h"
#include "core/atomic_file.h"
#include "case_name.h"
#include "expect_error.h"
#include "temp_folder.h"

namespace panther {
namespace {

using test::expect_error;
using test::load;
using test::SampleConfig;

TEST(ConfigFile, AnEmptyFileGivesTheDefaults) {
  const auto loaded = load("");
  EXPECT_EQ(loaded.config, SampleConfig{});
  EXPECT_FALSE(loaded.origin.is_set("optim.lr"));
  EXPECT_EQ(loaded.origin.at("optim.lr"), "optim.lr (default)");
}

TEST(ConfigFile, ReadsEveryKindAndRemembersThePlace) {
  const auto [config, origin] = load(R"(
name = "first"
seed = 1_000
widths = [64, 0x20]
[optim]
lr = 1
fused = false
betas = [0, 0.5]
  [optim.schedule]
  kind = "cosine"
[[sketch]]
match = "blocks.*"
[[sketch]]
sketch_size = 8
scales = []
)");
  EXPECT_EQ(config.name, "first");
  EXPECT_EQ(config.seed, 1000);
  EXPECT_EQ(config.widths, (std::vector<std::int64_t>{64, 32}));
  EXPECT_FALSE(config.optim.fused);
  EXPECT_EQ(config.optim.lr, 1.0) << "a whole number where a number is wanted";
  EXPECT_EQ(config.optim.betas, (std::vector<double>{0, 0.5}));
  EXPECT_EQ(config.optim.schedule.kind, "cosine");
  ASSERT_EQ(config.sketch.size(), 2u);
  EXPECT_EQ(config.sketch[0].match, "blocks.*");
  EXPECT_EQ(config.sketch[0].sketch_size, 16);
  EXPECT_EQ(config.sketch[1].match, "*");
  EXPECT_EQ(config.sketch[1].sketch_size, 8);
  EXPECT_TRUE(config.sketch[1].scales.empty());
  EXPECT_EQ(origin.at("optim.lr"), "optim.lr (a.toml:6:6)");
  EXPECT_EQ(origin.at("sketch[1].sketch_size"), "sketch[1].sketch_size (a.toml:14:15)");
  EXPECT_TRUE(origin.is_set("optim.schedule.kind"));
  EXPECT_TRUE(origin.is_set("sketch"));
  EXPECT_FALSE(origin.is_set("optim.schedule.warmup"));
}

struct Bad {
  std::string text;
  std::vector<std::string> pieces;
};
void PrintTo(const Bad& value, std::ostream* out) { *out << test::case_name(value.text); }
class BadFiles : public testing::TestWithParam<Bad> {};

TEST_P(BadFiles, SayWhereWhatAndWhatIsAllowed) {
  try {
    load(GetParam().text);
    ADD_FAILURE() << "accepted: " << GetParam().text;
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::InvalidArgument);
    for (const std::string& piece : GetParam().pieces)
      EXPECT_NE(error.message().find(piece), std::string::npos) << "'" << piece << "' is not in: " << error.message();
  }
}

INSTANTIATE_TEST_SUITE_P(
    UnknownKeys, BadFiles,
    testing::Values(Bad{"sed = 1", {"a.toml:1:1: unknown key sed; did you mean seed?", "the top level knows: name, optim, seed"}},
                    Bad{"\n\n[optim]\n  lrr = 1",
                        {"a.toml:4:3: unknown key optim.lrr; did you mean optim.lr?", "[optim] knows: schedule, lr, fused, betas"}},
                    Bad{"lr = 1", {"unknown key lr; did you mean optim.lr?"}},
                    Bad{"[optm]\nlr = 1", {"a.toml:1:2: unknown key optm; did you mean optim?"}},
                    Bad{"[[sketch]]\n[[sketch]]\nsketchsize = 1",
                        {"a.toml:3:1: unknown key sketch[1].sketchsize; did you mean sketch[1].sketch_size?"}},
                    Bad{"banana = 1", {"unknown key banana; the top level knows"}}));

INSTANTIATE_TEST_SUITE_P(WrongTypes, BadFiles, testing::Values(
    Bad{"seed = \"7\"", {"a.toml:1:8: seed wants a whole number, but is the text \"7\""}},
    Bad{"seed = 1.5", {"seed wants a whole number, but is the number 1.5"}},
    Bad{"seed = 1e3", {"seed wants a whole number", "write 1000"}},
    Bad{"name = 7", {"a.toml:1:8: name wants text, but is the whole number 7; put it in quotes"}},
    Bad{"name = 2024-01-01", {"is the date or time 2024-01-01"}},
    Bad{"[optim]\nlr = true", {"a.toml:2:6: optim.lr wants a number, but is true"}},
    Bad{"[optim]\nfused = 1", {"optim.fused wants true or false, but is the whole number 1"}},
    Bad{"optim = 3", {"optim wants a section [optim], but is the whole number 3"}},
    Bad{"[[optim]]\nlr = 1", {"optim wants a section [optim], but is an array of 1"}},
    Bad{"[sketch]\nmatch = \"x\"", {"sketch wants an array of tables, but is a table; write [[sketch]] with two brackets"}},
    Bad{"sketch = [1]", {"sketch[0] wants a table, written under [[sketch]]"}},
    Bad{"widths = 3", {"widths wants an array of whole numbers, but is the whole number 3"}},
    Bad{"widths = [3, 2.5]", {"a.toml:1:14: widths[1] wants a whole number, but is the number 2.5"}},
    Bad{"[widths]\n0 = 3", {"widths wants an array of whole numbers, but is a table"}}));

INSTANTIATE_TEST_SUITE_P(
    OutOfRange, BadFiles,
    testing::Values(Bad{"[optim]\nlr = -0.5", {"a.toml:2:6: optim.lr is the number -0.5; it must be at least 0"}},
                    Bad{"[optim]\nlr = nan", {"it must be finite and at least 0"}},
                    Bad{"[optim]\nlr = inf", {"a.toml:2:6: optim.lr is the number inf; it must be finite and at least 0"}},
                    Bad{"[optim.schedule]\nwarmup = 1.5", {"optim.schedule.warmup is the number 1.5; it must be from 0 to 1"}},
                    Bad{"[[sketch]]\nsketch_size = 0", {"sketch[0].sketch_size is the whole number 0; it must be from 1 to 1048576"}},
                    Bad{"[optim]\nbetas = [0.9, 2]", {"optim.betas[1] is the whole number 2"}},
                    Bad{"widths = [0]", {"widths[0] is the whole number 0; it must be at least 1 features"}},
                    Bad{"[optim.schedule]\nkind = \"cosin\"",
                        {"a.toml:2:8: optim.schedule.kind does not know \"cosin\"; did you mean \"cosine\"? Allowed: constant, cosine"}},
                    Bad{"tags = [\"a\", \"z\"]", {"a.toml:1:14: tags[1] does not know \"z\"", "llowed: a, b, c"}}));

INSTANTIATE_TEST_SUITE_P(Syntax, BadFiles, testing::Values(
    Bad{"seed = 1\nseed = 2", {"a.toml:2:", "not valid TOML", "seed"}}, Bad{"seed = ", {"a.toml:1:"}}, Bad{"widths = [1,", {"a.toml:1:"}},
    Bad{"name = \"open", {"a.toml:1:"}}, Bad{"seed = 99999999999999999999", {"a.toml:1:"}}, Bad{"name = \"\xff\"", {"a.toml:1:"}},
    Bad{std::string("a\0b = 1", 7), {"a.toml:1:"}}));

TEST(ConfigFile, AMissingFileOrAFolderIsTheUsersMistake) {
  const test::TempFolder folder;
  SampleConfig config;
  expect_error(ErrorCode::InvalidArgument, {"there is no configuration file", "none.toml"},
               [&] { load_config(folder / "none.toml", {}, visit_of(config)); });
  expect_error(ErrorCode::InvalidArgument, {"is a folder"}, [&] { load_config(folder.path(), {}, visit_of(config)); });
  write_file_atomic(folder / "c.toml", "seed = x");
  expect_error(ErrorCode::InvalidArgument, {(folder / "c.toml").string() + ":1:8"},
               [&] { load_config(folder / "c.toml", {}, visit_of(config)); });
  write_file_atomic(folder / "c.toml", "seed = 5");
  load_config(folder / "c.toml", {"name=n"}, visit_of(config));
  EXPECT_EQ(config.seed, 5);
  EXPECT_EQ(config.name, "n");
}

}  // namespace
}  // namespace panther
