// The pure parts of panther-linalg: command lines, the memory plan, progress, reports, and rows of files.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "core/error.h"
#include "core/file_format/npy.h"
#include "tests/core/expect_error.h"
#include "tests/core/temp_folder.h"
#include "tools/linalg/matrix_input.h"
#include "tools/linalg/memory_plan.h"
#include "tools/linalg/progress.h"
#include "tools/linalg/report.h"
#include "tools/linalg/request.h"
#include "tools/linalg/results.h"
#include "tools/linalg/true_error.h"

namespace panther::tools {
namespace {

using test::expect_error;

LinalgRequest parse(const std::vector<std::string>& words) {
  std::string help;
  return parse_linalg_request(words, help).value();
}

TEST(LinalgRequest, ReadsEveryOption) {
  const LinalgRequest request =
      parse({"sketch", "a.npy",     "-o", "b.safetensors", "--rank", "7",       "--method", "srht",    "--seed=9", "--dtype",
             "f32",    "--threads", "3",  "--memory",      "1.5GiB", "--json",   "--force", "--tensor", "w"});
  EXPECT_EQ(request.inputs.at(0), "a.npy");
  EXPECT_EQ(request.output, "b.safetensors");
  EXPECT_EQ(request.rank, 7);
  EXPECT_EQ(request.method, "srht");
  EXPECT_EQ(request.seed, 9u);
  EXPECT_EQ(request.dtype, DType::f32);
  EXPECT_EQ(request.threads, 3);
  EXPECT_EQ(request.memory_bytes, std::int64_t{3} << 29);
  EXPECT_TRUE(request.json && request.force);
  EXPECT_EQ(request.tensor, "w");
}

TEST(LinalgRequest, MistakesAreSaid) {
  const auto refused = [](const std::vector<std::string>& words, const std::string& piece) {
    expect_error(ErrorCode::InvalidArgument, {piece}, [&] { parse(words); });
  };
  refused({"sketsch", "a.npy"}, "did you mean 'sketch'");
  refused({"sketch", "a.npy", "--rank", "3"}, "-o");
  refused({"sketch", "-o", "b.npy", "--rank", "3"}, "takes one file, not 0");
  refused({"sketch", "a.npy", "b.npy", "-o", "c.npy", "--rank", "3"}, "not 2");
  refused({"sketch", "a.npy", "-o", "b.txt", "--rank", "3"}, "neither in .npy");
  refused({"sketch", "a.npy", "-o", "b.npy"}, "needs --rank");
  refused({"sketch", "a.npy", "-o", "b.npy", "--rank", "0"}, "at least 1");
  refused({"sketch", "a.npy", "-o", "b.npy", "--rank", "many"}, "needs a number");
  refused({"sketch", "a.npy", "-o", "b.npy", "--rank", "3", "--tol", "0.1"}, "unknown option --tol");
  refused({"sketch", "a.npy", "-o", "b.npy", "--rank", "3", "--method", "sazo"}, "did you mean saso");
  refused({"sketch", "a.npy", "-o", "b.npy", "--rank", "3", "--device", "gpu"}, "neither cpu nor cuda");
  refused({"sketch", "a.npy", "-o", "b.npy", "--rank", "3", "--dtype", "bf16"}, "neither f32 nor f64");
  refused({"sketch", "a.npy", "-o", "b.npy", "--rank", "3", "--plot", "x.svg"}, "unknown option --plot");
  refused({"sketch", "a.npy", "-o", "b.npy", "--rank", "3", "--seeds", "1"}, "did you mean --seed");
}

TEST(LinalgRequest, HelpIsNotARequest) {
  for (const std::vector<std::string>& words :
       std::vector<std::vector<std::string>>{{}, {"--help"}, {"help"}, {"sketch", "--help"}, {"help", "sketch"}}) {
    std::string help;
    EXPECT_FALSE(parse_linalg_request(words, help).has_value());
    EXPECT_NE(help.find("panther linalg"), std::string::npos);
  }
}

TEST(ParseBytes, TakesUnits) {
  EXPECT_EQ(parse_bytes("1000"), 1000);
  EXPECT_EQ(parse_bytes("2K"), 2048);
  EXPECT_EQ(parse_bytes("512 MiB"), std::int64_t{512} << 20);
  EXPECT_EQ(parse_bytes("0.5GB"), std::int64_t{1} << 29);
  for (const char* wrong : {"", "GiB", "-1", "0", "1X", "1GiBs", "1e400"}) EXPECT_THROW(parse_bytes(wrong), Error) << wrong;
}

TEST(MemoryPlan, StreamsWhatDoesNotFit) {
  const MemoryNeed need{.rows = 1000, .columns = 100, .dtype = DType::f64, .factor_columns = 10, .matrix_copies = 1};
  EXPECT_EQ(whole_bytes(need), 1000 * 100 * 8 + 2 * 1100 * 10 * 8);
  EXPECT_TRUE(plan_memory(need, whole_bytes(need), false, false).whole);
  EXPECT_TRUE(plan_memory(need, 0, false, false).whole) << "an unknown limit stops nothing";
  const MemoryPlan plan = plan_memory(need, whole_bytes(need) - 1, true, false);
  EXPECT_FALSE(plan.whole);
  EXPECT_GE(plan.block_rows, 1);
  EXPECT_LE(3 * plan.block_rows * 100 * 8 + 2 * 1100 * 10 * 8, whole_bytes(need)) << "three blocks and the factors fit";
  EXPECT_NE(plan.reason.find("more than"), std::string::npos);
  EXPECT_FALSE(plan_memory(need, 1 << 30, true, true).whole) << "asked for";
  expect_error(ErrorCode::OutOfMemory, {"may be used", "--memory"}, [&] { plan_memory(need, 1000, false, false); });
  expect_error(ErrorCode::OutOfMemory, {"even streamed", "--rank"}, [&] { plan_memory(need, 1000, true, false); });
  EXPECT_GT(available_memory_bytes(), 1 << 20);
}

TEST(MemoryPlan, NothingOverflows) {
  const MemoryNeed huge{
      .rows = std::int64_t{1} << 40, .columns = std::int64_t{1} << 40, .dtype = DType::f64, .factor_columns = 1, .matrix_copies = 2};
  EXPECT_EQ(whole_bytes(huge), std::numeric_limits<std::int64_t>::max());
}

TEST(ProgressText, FitsTheTerminalAndKnowsItsEnd) {
  for (const std::size_t columns : {1u, 10u, 40u, 80u, 200u})
    EXPECT_LT(progress_bar("power iteration", 0.5, 12, columns).size(), std::max<std::size_t>(columns, 2));
  const std::string bar = progress_bar("stage", 0.5, 10, 100);
  EXPECT_EQ(bar.substr(0, 30), std::string(15, '#') + std::string(15, '-'));
  EXPECT_NE(bar.find("50 %"), std::string::npos);
  EXPECT_NE(bar.find("ETA 10.0 s"), std::string::npos);
  EXPECT_EQ(progress_bar("stage", 1, 10, 100).find("ETA"), std::string::npos);
  EXPECT_EQ(progress_line("read", 0.25, 5), "read: 25 % after 5.00 s, ETA 15.0 s");
}

TEST(StageProgress, TimesItsParts) {
  StageProgress progress;
  progress.part("read", 0, 0.5);
  progress.part("decompose", 0.5, 1);
  progress.tell("first", 0);
  progress.tell("first", 0.5);
  progress.tell("second", 0.7);
  progress.finish();
  std::vector<std::string> names;
  for (const StageTime& time : progress.times()) names.push_back(time.name);
  EXPECT_EQ(names, (std::vector<std::string>{"read", "decompose"}));
}

TEST(Report, IsOneScreenAndOneObject) {
  LinalgReport report;
  report.command = "svd";
  report.input = "a \"b\".npy";
  report.method = "rsvd";
  report.rows = 20000;
  report.columns = 500;
  report.rank = 50;
  report.error_estimate = 0.125;
  report.flops = 4e9;
  report.decompose_seconds = 2;
  report.files = {{"o.u.npy", "20000 x 50"}, {"o.s.npy", "50"}};
  const std::string text = report_text(report);
  for (const char* piece : {"20000 x 500", "0.125 estimated", "2 GFLOP/s", "o.u.npy   (20000 x 50)"})
    EXPECT_NE(text.find(piece), std::string::npos) << text;
  const std::string json = report_json(report);
  EXPECT_NE(json.find("\"input\":\"a \\\"b\\\".npy\""), std::string::npos);
  EXPECT_EQ(json.find("true_error"), std::string::npos);
}

TEST(ResultPaths, NameEachFactor) {
  EXPECT_EQ(result_paths("x/o.npy", {"u", "s"}), (std::vector<std::filesystem::path>{"x/o.u.npy", "x/o.s.npy"}));
  EXPECT_EQ(result_paths("o.npy", {"x"}), (std::vector<std::filesystem::path>{"o.npy"}));
  EXPECT_EQ(result_paths("o.safetensors", {"u", "s"}), (std::vector<std::filesystem::path>{"o.safetensors"}));
}

TEST(MatrixInput, BlocksAreTheMatrixAndErrorsNameThePlace) {
  const test::TempFolder folder;
  std::vector<float> values(300 * 7);
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i);
  write_npy(folder / "a.npy", DType::f32, {300, 7}, std::as_bytes(std::span(values)));
  const MatrixInput input(folder / "a.npy", {}, DType::f64);
  std::int64_t next = 0;
  input.for_each_block(64, [&](std::int64_t first, const TensorView& rows) {
    EXPECT_EQ(first, next);
    next += rows.shape[0];
    for (std::int64_t i = 0; i < rows.shape[0] * 7; ++i) ASSERT_EQ(rows.as<double>()[i], static_cast<double>(first * 7 + i));
  });
  EXPECT_EQ(next, 300);
  const Matrix whole = input.load(plain_allocator(), {});
  EXPECT_EQ(whole.view().as<double>()[299 + 3 * 300], 299 * 7 + 3) << "column-major";
  values[250 * 7 + 5] = std::numeric_limits<float>::infinity();
  write_npy(folder / "bad.npy", DType::f32, {300, 7}, std::as_bytes(std::span(values)));
  expect_error(ErrorCode::InvalidArgument, {"infinity at row 250, column 5"},
               [&] { MatrixInput(folder / "bad.npy", {}, {}).load(plain_allocator(), {}); });
}

TEST(TrueError, IsThatOfTheFactors) {
  // A = x y^T + e: the factors x, y^T leave exactly e, whose entries are +-0.5.
  const test::TempFolder folder;
  constexpr std::int64_t kRows = 50, kColumns = 6;
  std::vector<double> a(kRows * kColumns), x(kRows), y(kColumns);
  double squares = 0;
  for (std::int64_t i = 0; i < kRows; ++i) x[static_cast<std::size_t>(i)] = static_cast<double>(i + 1);
  for (std::int64_t j = 0; j < kColumns; ++j) y[static_cast<std::size_t>(j)] = static_cast<double>(2 * j - 3);
  const std::vector<std::int64_t> order{5, 0, 3, 1, 2, 4};
  for (std::int64_t i = 0; i < kRows; ++i)
    for (std::int64_t j = 0; j < kColumns; ++j) {
      // Column order[j] of the file is column j of the product.
      double& entry = a[static_cast<std::size_t>(i * kColumns + order[static_cast<std::size_t>(j)])];
      entry = x[static_cast<std::size_t>(i)] * y[static_cast<std::size_t>(j)] + ((i + j) % 2 == 0 ? 0.5 : -0.5);
      squares += entry * entry;
    }
  write_npy(folder / "a.npy", DType::f64, {kRows, kColumns}, std::as_bytes(std::span(a)));
  const MatrixInput input(folder / "a.npy", {}, {});
  const TensorView left(x.data(), DType::f64, {kRows, 1}), right(y.data(), DType::f64, {1, kColumns});
  const double error = true_relative_error(input, 1, rows_of(left), right, order, [](double) {});
  EXPECT_NEAR(error, std::sqrt(0.25 * kRows * kColumns / squares), 1e-14);
  // Columns (1, 0, 0) and (0, 1, 0.5): Q^T Q - I holds 0.25 once.
  std::vector<double> q{1, 0, 0, 1, 0, 0.5};
  EXPECT_NEAR(orthogonality_error(TensorView(q.data(), DType::f64, {3, 2})), 0.25, 1e-15);
}

}  // namespace
}  // namespace panther::tools
