// Runs without a status.json, read from the end of their metrics; and whether a process is the one that was meant.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <chrono>
#include <cmath>
#include <csignal>
#include <fstream>

#include "core/atomic_file.h"
#include "core/clock.h"
#include "core/env.h"
#include "core/error.h"
#include "core/scratch_folder.h"
#include "launcher/status/find_run.h"
#include "launcher/status/metrics_lines.h"
#include "launcher/status/process_life.h"

namespace panther::launcher {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

constexpr const char* kLines =
    "{\"step\":0,\"time\":100.5,\"val/loss\":5.5}\n"
    "{\"step\":10,\"time\":101,\"train/loss\":4.5,\"train/skipped\":2,\"perf/forward_s\":0.25,\"comm/bytes\":1000,"
    "\"comm/compression_ratio\":4,\"memory/max_active_gib\":0.5}\n"
    "{\"step\":20,\"time\":102,\"train/loss\":null,\"comm/bytes\":1000}\n";

TEST(MetricsLines, KeepTheLastOfEveryTagAndTheCurves) {
  const MetricsLines lines = read_metrics(kLines, false);
  EXPECT_EQ(lines.step, 20);
  EXPECT_EQ(lines.time, 102);
  EXPECT_EQ(lines.latest.at("perf/forward_s"), 0.25);
  EXPECT_TRUE(std::isnan(lines.latest.at("train/loss")));
  ASSERT_EQ(lines.losses.size(), 2u);
  EXPECT_EQ(lines.losses[0], (std::pair<std::int64_t, double>(10, 4.5)));
  EXPECT_TRUE(std::isnan(lines.losses[1].second));
  EXPECT_EQ(lines.validation, (Curve{{0, 5.5}}));
  EXPECT_EQ(lines.unreadable, 0);
}

TEST(MetricsLines, AFileMayBeCutAnywhere) {
  const std::string text = kLines;
  for (std::size_t length = 0; length <= text.size(); ++length) {
    const MetricsLines front = read_metrics(std::string_view(text).substr(0, length), false);
    EXPECT_EQ(front.unreadable, 0) << "a half-written last line is not a damaged one; length " << length;
    EXPECT_LE(front.losses.size(), 2u);
    const MetricsLines back = read_metrics(std::string_view(text).substr(length), true);
    EXPECT_EQ(back.unreadable, 0) << "what stands before the first whole line is left out; from " << length;
  }
  EXPECT_EQ(read_metrics(std::string_view(text).substr(3), true).losses.size(), 2u);
  EXPECT_EQ(read_metrics("", false).step, -1);
  EXPECT_EQ(read_metrics(std::string_view("\0\0\xff\n{\"step\":3}\n", 15), false).unreadable, 1)
      << "a block that was never written, as after a power cut";
  const MetricsLines damaged =
      read_metrics("garbage\n[1]\n{\"step\":\"x\"}\n{\"step\":3,\"train/loss\":nan}\n{\"step\":4,\"train/loss\":1}\n", false);
  EXPECT_EQ(damaged.unreadable, 4);
  EXPECT_EQ(damaged.step, 4);
}

TEST(MetricsLines, WhatAResumeRepeatsReplacesWhatWasThere) {
  const MetricsLines lines = read_metrics(
      "{\"step\":10,\"train/loss\":5}\n{\"step\":20,\"train/loss\":4}\n"
      "{\"step\":30,\"train/loss\":9}\n{\"step\":20,\"train/loss\":3}\n",
      false);
  EXPECT_EQ(lines.losses, (Curve{{10, 5.0}, {20, 3.0}}));
}

TEST(MetricsLines, MakeAViewThatDoesNotClaimMoreThanTheySay) {
  const FolderFacts facts{
      .host = "h", .backend = "gloo", .exchange = "half", .ranks = 2, .steps = 40, .checkpoint_step = -1, .checkpoint_time = 0};
  const RunView run = view_of_metrics(read_metrics(kLines, false), facts);
  EXPECT_EQ(state_of(run, Life::alive, 103), "unknown");
  EXPECT_EQ(run.bytes_dense_f32, 4000);
  EXPECT_EQ(run.memory_bytes, std::int64_t{1} << 29);
  EXPECT_EQ(run.skipped, 2);
  EXPECT_TRUE(run.buckets.empty());
  const std::string text = status_text(run, {.folder = "r", .life = Life::alive, .why = "", .logs = ""}, {.columns = 100, .now = 103});
  EXPECT_THAT(text, HasSubstr("unknown (no status.json, only metrics.jsonl), 2 ranks over gloo, last written 1 s ago"));
  EXPECT_THAT(text, HasSubstr("20/40   50 %"));
  EXPECT_THAT(view_json(run, "r", "unknown"), HasSubstr("\"loss\":null"));
}

/// The error of find_run and read_run.
Error refusal(const std::string& given) {
  try {
    read_run(find_run(given));
  } catch (const Error& error) {
    return error;
  }
  ADD_FAILURE() << "accepted " << given;
  return {ErrorCode::Internal, ""};
}

void make_run(const fs::path& folder, const std::string& config_file) {
  fs::create_directories(folder);
  write_file_atomic(folder / "config.toml", "[train]\nsteps = 40\n[comm]\nexchange = \"half\"\n");
  write_file_atomic(folder / "env.json",
                    concat("{\"host\": \"h\", \"backend\": \"gloo\", \"config_file\": \"", config_file, "\", \"world_size\": 2}"));
  write_file_atomic(folder / "metrics.jsonl", kLines);
}

void make_older(const fs::path& folder, int seconds) {
  for (const auto& entry : fs::directory_iterator(folder))
    fs::last_write_time(entry.path(), fs::last_write_time(entry.path()) - std::chrono::seconds(seconds));
}

TEST(FindRun, TakesTheNewestOrTheOneOfAConfiguration) {
  const ScratchFolder scratch;
  const fs::path runs = scratch / "runs";
  const std::string a = scratch / "a.toml", b = scratch / "b.toml";
  for (const std::string& file : {a, b}) write_file_atomic(file, concat("[run]\ndir = \"", runs.string(), "\"\n"));
  make_run(runs / "a-1", a);
  make_run(runs / "a-2", a);
  make_run(runs / "b-1", b);
  make_older(runs / "a-1", 20);
  make_older(runs / "b-1", 10);
  EXPECT_EQ(find_run(runs), runs / "a-2");
  EXPECT_EQ(find_run(a), runs / "a-2");
  EXPECT_EQ(find_run(b), runs / "b-1");
  EXPECT_EQ(find_run(runs / "a-1"), runs / "a-1");
  write_file_atomic(b, concat("[run]\ndir = \"", runs.string(), "\"\nname = \"a-1\"\n"));
  EXPECT_EQ(find_run(b), runs / "a-1");
  const FoundRun run = read_run(runs / "a-1");
  EXPECT_FALSE(run.has_status);
  EXPECT_EQ(run.view.steps, 40);
  EXPECT_EQ(run.view.exchange, "half");
  EXPECT_EQ(run.view.ranks, 2);
}

TEST(FindRun, SaysWhatIsMissing) {
  const ScratchFolder scratch;
  EXPECT_THAT(refusal(scratch / "none").message(), HasSubstr("there is no folder"));
  EXPECT_THAT(refusal(scratch.path()).message(), HasSubstr("holds none"));
  write_file_atomic(scratch / "notes.txt", "x");
  EXPECT_THAT(refusal(scratch / "notes.txt").message(), HasSubstr("is a file"));
  write_file_atomic(scratch / "c.toml", concat("[run]\ndir = \"", (scratch / "empty").string(), "\"\n"));
  EXPECT_THAT(refusal(scratch / "c.toml").message(), HasSubstr("was started from"));
  make_run(scratch / "starting", "x.toml");
  fs::remove(scratch / "starting" / "metrics.jsonl");
  const Error starting = refusal(scratch / "starting");
  EXPECT_EQ(starting.code(), ErrorCode::InvalidArgument);
  EXPECT_THAT(starting.message(), HasSubstr("still starting"));
  make_run(scratch / "blank", "x.toml");
  write_file_atomic(scratch / "blank" / "metrics.jsonl", "");
  EXPECT_THAT(refusal(scratch / "blank").message(), HasSubstr("no record yet"));
  make_run(scratch / "odd", "x.toml");
  fs::create_directory(scratch / "odd" / "status.json");
  EXPECT_EQ(refusal(scratch / "odd").code(), ErrorCode::Io) << "unreadable";
  make_run(scratch / "damaged", "x.toml");
  write_file_atomic(scratch / "damaged" / "status.json", "{");
  EXPECT_EQ(refusal(scratch / "damaged").code(), ErrorCode::Corrupt);
}

TEST(FindRun, ReadsOnlyTheEndOfAHugeFile) {
  const ScratchFolder scratch;
  make_run(scratch / "long", "x.toml");
  {
    std::ofstream file(scratch / "long" / "metrics.jsonl");
    for (int step = 1; step <= 200'000; ++step) file << "{\"step\":" << step << ",\"train/loss\":" << 1.0 / step << "}\n";
  }
  const FoundRun run = read_run(scratch / "long");
  EXPECT_EQ(run.view.step, 200'000);
  EXPECT_GT(run.view.losses.front().first, 180'000);
  EXPECT_EQ(run.view.losses.back().first - run.view.losses.front().first + 1, static_cast<std::int64_t>(run.view.losses.size()));
}

TEST(ProcessLife, ReadsTheKernelsLine) {
  const auto stat =
      parse_process_stat("42 (a ) name) S 1 42 42 0 -1 4194560 100 0 0 0 1 2 0 0 20 0 1 0 987654 1000 200 18446744073709551615");
  ASSERT_TRUE(stat);
  EXPECT_EQ(stat->state, 'S');
  EXPECT_EQ(stat->start_ticks, 987654u);
  EXPECT_FALSE(parse_process_stat(""));
  EXPECT_FALSE(parse_process_stat("42 (name) S 1 2"));
}

TEST(ProcessLife, KnowsItselfFromAnotherWithItsNumber) {
  RunView run;
  run.host = host_name();
  run.pid = ::getpid();
  run.updated = unix_seconds();
  EXPECT_EQ(life_of(run), Life::alive);
  run.updated -= 1e6;
  EXPECT_EQ(life_of(run), Life::gone) << "this process began long after that run wrote last";
  run.pid = 0;
  EXPECT_EQ(life_of(run), Life::gone);
  run.host = "elsewhere";
  EXPECT_EQ(life_of(run), Life::elsewhere);
}

}  // namespace
}  // namespace panther::launcher
