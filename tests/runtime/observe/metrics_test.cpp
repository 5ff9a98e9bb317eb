#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cmath>
#include <csignal>
#include <limits>
#include <nlohmann/json.hpp>

#include "core/atomic_file.h"
#include "core/error.h"
#include "runtime/observe/metrics.h"
#include "tests/runtime/data/temporary_folder.h"

namespace panther::runtime {
namespace {

using test::TemporaryFolder;

std::vector<nlohmann::json> lines_of(const std::filesystem::path& folder) {
  std::ifstream in(folder / "metrics.jsonl");
  std::vector<nlohmann::json> result;
  for (std::string line; std::getline(in, line);) result.push_back(nlohmann::json::parse(line));
  return result;
}

std::vector<std::vector<std::string>> csv_of(const std::filesystem::path& folder) {
  std::ifstream in(folder / "metrics.csv");
  std::vector<std::vector<std::string>> result;
  for (std::string line; std::getline(in, line);) {
    auto& row = result.emplace_back(1);
    for (const char c : line) c == ',' ? void(row.emplace_back()) : void(row.back() += c);
  }
  return result;
}

std::size_t event_files(const std::filesystem::path& folder) {
  std::size_t count = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder / "tb")) count += entry.path().filename().string().starts_with("events.out.tfevents.");
  return count;
}

TEST(Metrics, WritesOneObjectPerStep) {
  const TemporaryFolder folder;
  MetricsWriter writer(folder.path(), 0);
  writer.write(1, {{"train/loss", 5.5}, {"train/lr", 1e-3}});
  writer.write(2, {{"train/loss", std::numeric_limits<double>::quiet_NaN()}, {"odd \"tag\"", -std::numeric_limits<double>::infinity()}});
  const auto lines = lines_of(folder.path());  // every call has reached the file
  ASSERT_EQ(lines.size(), 2u);
  EXPECT_EQ(lines[0]["step"], 1);
  EXPECT_EQ(lines[0]["train/loss"], 5.5);
  EXPECT_EQ(lines[0]["train/lr"], 1e-3);
  EXPECT_NEAR(lines[0]["time"].get<double>(), static_cast<double>(::time(nullptr)), 60);
  EXPECT_TRUE(lines[1]["train/loss"].is_null());
  EXPECT_TRUE(lines[1]["odd \"tag\""].is_null());
  writer.flush();
}

TEST(Metrics, CsvGrowsAColumnPerNewTag) {
  const TemporaryFolder folder;
  MetricsWriter writer(folder.path(), 0);
  writer.write(1, {{"train/loss", 5.5}, {"train/lr", 0.25}});
  writer.write(2, {{"val/loss", 4.0}});
  writer.write(3, {{"train/lr", 0.125}, {"a,b", std::numeric_limits<double>::infinity()}});
  const auto rows = csv_of(folder.path());
  ASSERT_EQ(rows.size(), 4u);
  EXPECT_EQ(rows[0], (std::vector<std::string>{"step", "time", "train/loss", "train/lr", "val/loss", "a_b"}));
  for (const auto& row : rows) ASSERT_EQ(row.size(), 6u);
  EXPECT_EQ(rows[1][0], "1");
  EXPECT_EQ(std::stod(rows[1][2]), 5.5);
  EXPECT_EQ(rows[1][4], "");
  EXPECT_EQ(rows[2][2], "");
  EXPECT_EQ(std::stod(rows[2][4]), 4.0);
  EXPECT_EQ(std::stod(rows[3][3]), 0.125);
  EXPECT_EQ(rows[3][5], "inf");
}

TEST(Metrics, ResumingCutsLaterAndTornLines) {
  const TemporaryFolder folder;
  {
    MetricsWriter writer(folder.path(), 0);
    for (int step = 1; step <= 9; ++step) writer.write(step, {{"train/loss", 10.0 - step}});
  }
  const int jsonl = ::open((folder.path() / "metrics.jsonl").c_str(), O_WRONLY | O_APPEND);
  ASSERT_EQ(::write(jsonl, "{\"step\":4,\"ti", 13), 13);
  ::close(jsonl);
  const int csv = ::open((folder.path() / "metrics.csv").c_str(), O_WRONLY | O_APPEND);
  ASSERT_EQ(::write(csv, "3,17", 4), 4);
  ::close(csv);
  {
    MetricsWriter writer(folder.path(), 6);
    writer.write(7, {{"train/loss", 1.0}, {"val/loss", 2.0}});
  }
  const auto lines = lines_of(folder.path());
  const auto rows = csv_of(folder.path());
  ASSERT_EQ(lines.size(), 7u);
  ASSERT_EQ(rows.size(), 8u);
  for (int step = 1; step <= 7; ++step) {
    EXPECT_EQ(lines[static_cast<std::size_t>(step - 1)]["step"], step);
    EXPECT_EQ(rows[static_cast<std::size_t>(step)][0], std::to_string(step));
    EXPECT_EQ(lines[static_cast<std::size_t>(step - 1)]["train/loss"], step < 7 ? 10.0 - step : 1.0);
  }
  EXPECT_EQ(rows[0].back(), "val/loss");
  EXPECT_EQ(event_files(folder.path()), 2u);
  // From nothing again: nothing of the earlier attempts stays.
  MetricsWriter again(folder.path(), 0);
  EXPECT_TRUE(lines_of(folder.path()).empty());
  EXPECT_EQ(csv_of(folder.path()).size(), 1u);
}

TEST(Metrics, FoldersThatCannotBeWrittenAreIoErrors) {
  const TemporaryFolder folder;
  folder.write("file", "not a folder");
  try {
    MetricsWriter writer(folder.path() / "file", 0);
    FAIL() << "a file is no run folder";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::Io);
  }
}

TEST(Metrics, AFullDiskIsAnIoErrorAtTheWrite) {
  const TemporaryFolder folder;
  MetricsWriter writer(folder.path(), 0);
  writer.write(1, {{"train/loss", 1.0}});
  // The limit on file sizes stands in for the disk.
  rlimit limit{}, small{};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &limit), 0);
  small = limit;
  small.rlim_cur = std::filesystem::file_size(folder.path() / "metrics.jsonl");
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  ::setrlimit(RLIMIT_FSIZE, &small);
  ErrorCode code = ErrorCode::Internal;
  std::string message;
  try {
    writer.write(2, {{"train/loss", 1.0}});
  } catch (const Error& error) {
    code = error.code();
    message = error.what();
  }
  ::setrlimit(RLIMIT_FSIZE, &limit);
  std::signal(SIGXFSZ, handler);
  EXPECT_EQ(code, ErrorCode::Io);
  EXPECT_THAT(message, testing::HasSubstr("metrics.jsonl"));
}

/// Two attempts, the second resumed at step 6; tensorboard_reference.py reads them.
TEST(TensorBoardReference, WritesTwoAttempts) {
  const char* output = std::getenv("PANTHER_TEST_OUTPUT");
  if (output == nullptr) GTEST_SKIP() << "run by CTest with a folder for tensorboard_reference.py";
  const auto scalars = [](int step) { return Scalars{{"train/loss", 10.0 / step}, {"perf/tokens_per_s", 1e4 + step}}; };
  {
    MetricsWriter writer(output, 0);
    writer.write_text("config", "# run\n\n```toml\nseed = 1 # caf\xc3\xa9\n```");
    for (int step = 1; step <= 9; ++step) writer.write(step, scalars(step));
    writer.write(9, {{"val/loss", std::numeric_limits<double>::quiet_NaN()}});
  }
  // A crash tears the last record of the first attempt.
  for (const auto& entry : std::filesystem::directory_iterator(std::filesystem::path(output) / "tb")) {
    std::filesystem::resize_file(entry.path(), entry.file_size() - 5);
  }
  MetricsWriter writer(output, 6);
  for (int step = 7; step <= 300; ++step) writer.write(step, scalars(step + 1000));
  writer.write(300, {{"val/loss", std::numeric_limits<double>::quiet_NaN()}});
}

}  // namespace
}  // namespace panther::runtime
