#include "core/log.h"

#include <gtest/gtest.h>
#include <pty.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <nlohmann/json.hpp>
#include <sstream>
#include <thread>
#include <vector>

#include "core/atomic_file.h"
#include "expect_error.h"
#include "temp_folder.h"

namespace panther {
namespace {

using test::TempFolder;

/// The lines of a log file that `body` made under `options`. Stderr is swallowed; the default sink is back afterwards.
class LogTest : public testing::Test {
 protected:
  void TearDown() override {
    ::unsetenv("PANTHER_LOG");
    configure_log({});
  }

  template <class Body>
  std::vector<std::string> lines(LogOptions options, const Body& body) {
    options.file = (folder_ / "log").string();
    std::filesystem::remove(options.file);
    testing::internal::CaptureStderr();
    configure_log(options);
    body();
    configure_log({});
    stderr_text_ = testing::internal::GetCapturedStderr();
    std::vector<std::string> result;
    std::istringstream in(read_file(options.file));
    for (std::string line; std::getline(in, line);) result.push_back(line);
    return result;
  }

  TempFolder folder_;
  std::string stderr_text_;
};

TEST_F(LogTest, TextLineHasPlaceEventAndFields) {
  LogOptions options;
  options.rank = 3;
  options.node = "n1";
  const auto seen = lines(options, [] {
    log_info("checkpoint_saved", {{"step", 40}, {"path", "/tmp/a b"}, {"empty", ""}, {"ratio", 0.5}});
  });
  ASSERT_EQ(seen.size(), 1u);
  EXPECT_TRUE(seen[0].ends_with("info  rank=3 node=n1 checkpoint_saved step=40 path=\"/tmp/a b\" empty=\"\" ratio=0.5")) << seen[0];
  EXPECT_EQ(stderr_text_, seen[0] + "\n") << "stderr gets the same line, without colour when it is not a terminal";
}

TEST_F(LogTest, JsonLineIsOneObject) {
  LogOptions options;
  options.rank = 0;
  options.json = true;
  const auto seen = lines(options, [] { log_warn("odd \"event\"", {{"text", "line\nline"}, {"braces", "{} {0} %v"}}); });
  ASSERT_EQ(seen.size(), 1u);
  const auto object = nlohmann::json::parse(seen[0]);
  EXPECT_EQ(object.at("level"), "warning");
  EXPECT_EQ(object.at("rank"), 0);
  EXPECT_EQ(object.at("event"), "odd \"event\"");
  EXPECT_EQ(object.at("text"), "line\nline");
  EXPECT_EQ(object.at("braces"), "{} {0} %v");
  EXPECT_FALSE(object.contains("node"));
  EXPECT_EQ(object.at("time").get<std::string>().size(), std::string("2026-01-01T00:00:00.000+00:00").size());
}

TEST_F(LogTest, LevelsFilterAndTheEnvironmentWins) {
  const auto all = [] {
    log_debug("d");
    log_info("i");
    log_warn("w");
    log_error("e");
  };
  EXPECT_EQ(lines({}, all).size(), 3u);
  EXPECT_EQ(lines({.level = LogLevel::error}, all).size(), 1u);
  ::setenv("PANTHER_LOG", "debug", 1);
  EXPECT_EQ(lines({.level = LogLevel::error}, all).size(), 4u);
  EXPECT_TRUE(log_enabled(LogLevel::debug));
  ::setenv("PANTHER_LOG", "warn", 1);
  EXPECT_EQ(lines({}, all).size(), 2u);
}

TEST_F(LogTest, BadSettingsAreErrors) {
  ::setenv("PANTHER_LOG", "loud", 1);
  test::expect_error(ErrorCode::InvalidArgument, {"PANTHER_LOG='loud'", "debug, info, warn or error"}, [] { configure_log({}); });
  ::unsetenv("PANTHER_LOG");
  LogOptions options;
  options.file = "/proc/none/log";
  test::expect_error(ErrorCode::Io, {"/proc/none/log"}, [&] { configure_log(options); });
}

TEST_F(LogTest, LinesOfManyThreadsStayWhole) {
  const auto seen = lines({}, [] {
    std::vector<std::jthread> threads;
    for (int t = 0; t < 4; ++t)
      threads.emplace_back([t] {
        for (int i = 0; i < 100; ++i) log_info("line", {{"thread", t}, {"text", std::string(100, 'x')}});
      });
  });
  ASSERT_EQ(seen.size(), 400u);
  for (const std::string& line : seen) EXPECT_TRUE(line.ends_with(" text=" + std::string(100, 'x'))) << line;
}

/// What a child prints on a terminal.
std::string on_terminal(const char* no_color) {
  int terminal = -1;
  const pid_t child = ::forkpty(&terminal, nullptr, nullptr, nullptr);
  if (child == 0) {
    ::setenv("TERM", "xterm-256color", 1);
    ::unsetenv("COLORTERM");
    if (no_color != nullptr) ::setenv("NO_COLOR", no_color, 1);
    configure_log({});
    log_info("hello");
    ::_exit(0);
  }
  std::string text;
  char buffer[256];
  for (ssize_t count = 0; (count = ::read(terminal, buffer, sizeof buffer)) > 0;) text.append(buffer, static_cast<std::size_t>(count));
  ::close(terminal);
  ::waitpid(child, nullptr, 0);
  return text;
}

TEST_F(LogTest, ColourOnATerminalUnlessForbidden) {
  ::unsetenv("NO_COLOR");
  EXPECT_NE(on_terminal(nullptr).find("\x1b["), std::string::npos);
  EXPECT_NE(on_terminal("").find("\x1b["), std::string::npos) << "an empty NO_COLOR forbids nothing";
  const std::string plain = on_terminal("1");
  EXPECT_EQ(plain.find("\x1b["), std::string::npos);
  EXPECT_NE(plain.find("hello"), std::string::npos);
}

}  // namespace
}  // namespace panther
