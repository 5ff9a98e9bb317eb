#include "launcher/cli/command_line.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/error.h"

namespace panther::launcher {
namespace {

using Words = std::vector<std::string>;
using ::testing::HasSubstr;

std::string refusal(const Words& words) {
  try {
    parse_command_line(words);
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::InvalidArgument);
    return error.message();
  }
  ADD_FAILURE() << "accepted";
  return "";
}

TEST(CommandLine, NothingIsHelp) {
  const CommandLine line = parse_command_line({});
  EXPECT_EQ(line.subcommand, "help");
  EXPECT_TRUE(line.bare);
  for (const char* word : {"-h", "--help", "help"}) EXPECT_EQ(parse_command_line({word}).subcommand, "help");
  for (const char* word : {"-V", "--version", "version"}) EXPECT_EQ(parse_command_line({word}).subcommand, "version");
}

TEST(CommandLine, HelpAndLaunchHaveHelp) {
  EXPECT_EQ(parse_command_line({"help", "--help"}).subcommand, "help");
  EXPECT_TRUE(parse_command_line({"help", "--help"}).words.empty());
  for (const Words& words : {Words{"launch", "--help"}, Words{"launch", "-h"}, Words{"launch", "--nproc", "2", "--help"}}) {
    const CommandLine line = parse_command_line(words);
    EXPECT_EQ(line.subcommand, "help");
    EXPECT_EQ(line.words, Words{"launch"});
    EXPECT_FALSE(line.nproc);
  }
  EXPECT_EQ(parse_command_line({"launch", "program", "--help"}).words, (Words{"program", "--help"}));
}

TEST(CommandLine, RanksAreTakenOutWhereverTheyStand) {
  for (const Words& words : {Words{"train", "--nproc", "3", "a.toml", "--set", "x=1"}, Words{"train", "a.toml", "--nproc=3", "--set", "x=1"},
                             Words{"train", "a.toml", "--set", "x=1", "--nproc", "2", "--nproc", "3"}}) {
    const CommandLine line = parse_command_line(words);
    EXPECT_EQ(line.nproc, 3);
    EXPECT_EQ(line.words, (Words{"a.toml", "--set", "x=1"}));
  }
}

TEST(CommandLine, TheRestPassesThroughUntouched) {
  const Words words{"a.toml", "--resume", "auto", "--unknown", "--set", "run.name=--nproc"};
  Words all{"train"};
  all.insert(all.end(), words.begin(), words.end());
  const CommandLine line = parse_command_line(all);
  EXPECT_FALSE(line.nproc);
  EXPECT_EQ(line.words, words);
  EXPECT_EQ(parse_command_line({"train", "--set", "--nproc"}).words, (Words{"--set", "--nproc"}));
}

TEST(CommandLine, PlansAndHelpTextsNeedNoRanks) {
  for (const char* option : {"--dry-run", "--help", "-h", "--keys"}) {
    const CommandLine line = parse_command_line({"train", "a.toml", "--nproc", "4", option});
    EXPECT_FALSE(line.nproc);
    EXPECT_EQ(line.words, (Words{"a.toml", "--nproc", "4", option}));
  }
}

TEST(CommandLine, BadNumbersOfRanksAreRefused) {
  for (const char* number : {"0", "-1", "two", "", "2x", "1025", "99999999999999999999"})
    EXPECT_THAT(refusal({"train", "a.toml", "--nproc", number}), HasSubstr(concat("'", number, "'"))) << number;
  EXPECT_THAT(refusal({"train", "--nproc"}), HasSubstr("needs a value"));
  EXPECT_THAT(refusal({"generate", "x", "--nproc", "2"}), HasSubstr("belongs to `panther train`"));
}

TEST(CommandLine, UnknownCommandsNameTheNearest) {
  EXPECT_THAT(refusal({"trian"}), HasSubstr("did you mean 'train'?"));
  EXPECT_THAT(refusal({"docter"}), HasSubstr("did you mean 'doctor'?"));
  EXPECT_THAT(refusal({"zzzzzzz"}), HasSubstr("unknown command 'zzzzzzz'. Known: train, launch"));
}

TEST(CommandLine, LaunchKeepsTheProgramsWords) {
  const CommandLine line = parse_command_line({"launch", "--nproc", "2", "--", "./own", "--nproc", "7", "x"});
  EXPECT_EQ(line.nproc, 2);
  EXPECT_EQ(line.words, (Words{"./own", "--nproc", "7", "x"}));
  EXPECT_EQ(parse_command_line({"launch", "own", "-v"}).words, (Words{"own", "-v"}));
  EXPECT_EQ(parse_command_line({"launch", "own"}).nproc, 1);
  EXPECT_THAT(refusal({"launch", "--nproc=2"}), HasSubstr("which program"));
  EXPECT_THAT(refusal({"launch", "--ranks", "2", "own"}), HasSubstr("--nproc"));
}

}  // namespace
}  // namespace panther::launcher
