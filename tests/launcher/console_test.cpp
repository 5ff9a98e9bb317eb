#include "launcher/agent/console.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include "core/text.h"
#include "launcher/agent/process.h"

namespace panther::launcher {
namespace {

using Lines = std::vector<std::string>;
using std::chrono::milliseconds;

constexpr TimePoint kStart{};

/// Two pipes to write to.
class ConsoleTest : public ::testing::Test {
 protected:
  void SetUp() override {
    for (auto* pair : {out_, err_}) {
      int fds[2];
      ASSERT_EQ(::pipe(fds), 0);
      pair[0] = Descriptor(fds[0]);
      pair[1] = Descriptor(fds[1]);
    }
  }
  Console console(bool is_terminal = false) { return Console(3, out_[1].get(), err_[1].get(), is_terminal); }
  static std::string text(Descriptor* pair) {
    pair[1].reset();
    std::string all;
    char buffer[4096];
    while (const ssize_t count = ::read(pair[0].get(), buffer, sizeof buffer)) all.append(buffer, static_cast<std::size_t>(count));
    return all;
  }
  Descriptor out_[2];
  Descriptor err_[2];
};

TEST(LineSplitter, CutsAtNewlinesWhateverThePieces) {
  LineSplitter lines;
  EXPECT_EQ(lines.feed("a"), Lines{});
  EXPECT_EQ(lines.feed("b\n\nc\nd"), (Lines{"ab", "", "c"}));
  EXPECT_EQ(lines.rest(), "d");
  EXPECT_EQ(lines.rest(), "");
  const std::string longest(std::size_t{64} << 10, 'x');
  EXPECT_EQ(lines.feed(longest + "yz\n"), (Lines{longest, "yz"}));
}

TEST(LineSplitter, SettledIsWhatATerminalShows) {
  EXPECT_EQ(settled("plain"), "plain");
  EXPECT_EQ(settled("10 %\r20 %\r"), "20 %");
  EXPECT_EQ(settled("\r\r"), "");
}

TEST_F(ConsoleTest, RankZeroIsPlainOthersArePrefixed) {
  Console it = console();
  it.feed(0, Channel::out, "bar 1\rbar", kStart);
  it.feed(1, Channel::out, "one\ntw", kStart);
  it.feed(2, Channel::err, "warn\n", kStart);
  it.feed(0, Channel::err, "plain\n", kStart);
  it.close(1, Channel::out, kStart);
  EXPECT_EQ(text(out_), "bar 1\rbar[rank 1] one\n[rank 1] tw\n");
  EXPECT_EQ(text(err_), "[rank 2] warn\nplain\n");
}

TEST_F(ConsoleTest, ABarOnATerminalMakesRoomForLines) {
  Console it = console(true);
  it.feed(0, Channel::out, "\r10 %", kStart);
  it.feed(1, Channel::out, "note\n", kStart);
  it.feed(0, Channel::out, "line\n", kStart);
  it.feed(1, Channel::out, "more\n", kStart);
  EXPECT_EQ(text(out_), "\r10 %\r\x1b[K[rank 1] note\nline\n[rank 1] more\n");
}

TEST_F(ConsoleTest, TheSameErrorOfAllRanksIsShownOnce) {
  Console it = console();
  for (int rank = 0; rank < 3; ++rank) it.feed(rank, Channel::err, "bad key\n", kStart + milliseconds(rank * 100));
  it.feed(1, Channel::err, "own\n", kStart);
  it.feed(1, Channel::err, "own\n", kStart);
  it.feed(2, Channel::err, "bad key\n", kStart + milliseconds(5000));
  EXPECT_EQ(text(err_), "bad key\n[rank 1] own\n[rank 1] own\n[rank 2] bad key\n");
}

TEST_F(ConsoleTest, RemembersTheLastTwentyLinesOfEachRank) {
  Console it = console();
  for (int i = 0; i < 30; ++i) it.feed(1, i % 2 == 0 ? Channel::out : Channel::err, concat(i, "\n"), kStart);
  it.feed(1, Channel::out, "5 %\r6 %\n", kStart);
  ASSERT_EQ(it.last_lines(1).size(), 20u);
  EXPECT_EQ(it.last_lines(1).front(), "11");
  EXPECT_EQ(it.last_lines(1).back(), "6 %");
  EXPECT_TRUE(it.last_lines(0).empty());
  EXPECT_TRUE(it.shows_last_line_of(1));
  it.feed(0, Channel::out, "other\n", kStart);
  EXPECT_FALSE(it.shows_last_line_of(1));
  EXPECT_TRUE(it.shows_last_line_of(0));
  EXPECT_FALSE(it.shows_last_line_of(2));
}

}  // namespace
}  // namespace panther::launcher
