#include "core/config_peek.h"

#include <gtest/gtest.h>

#include "core/error.h"

namespace panther {
namespace {

constexpr const char* kText =
    "seed = 3\nrun = { dir = \"there\", name = 'x' }\n[train]\nsteps = 1_000\nlr = 0.5\nunknown_to_anybody = true\n[[sketch]]\nkind = "
    "\"dense\"\n";

TEST(ConfigPeek, GivesTextsAndWholeNumbers) {
  EXPECT_EQ(peek_config(kText, "a.toml", "run", "dir"), "there");
  EXPECT_EQ(peek_config(kText, "a.toml", "run", "name"), "x");
  EXPECT_EQ(peek_config(kText, "a.toml", "train", "steps"), "1000");
}

TEST(ConfigPeek, GivesNothingForTheRest) {
  for (const auto& [section, key] :
       {std::pair{"run", "steps"}, {"none", "dir"}, {"seed", "dir"}, {"train", "lr"}, {"train", "unknown_to_anybody"}, {"sketch", "kind"}})
    EXPECT_EQ(peek_config(kText, "a.toml", section, key), std::nullopt) << section << "." << key;
}

TEST(ConfigPeek, NamesThePlaceWhereItIsNoToml) {
  try {
    peek_config("[run]\ndir = \n", "a.toml", "run", "dir");
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::InvalidArgument);
    EXPECT_NE(error.message().find("a.toml:2:"), std::string::npos) << error.message();
  }
}

}  // namespace
}  // namespace panther
