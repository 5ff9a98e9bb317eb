#include <pty.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/table.h"
#include "runtime/observe/peak_flops.h"
#include "runtime/observe/progress.h"
#include "runtime/observe/progress_text.h"

namespace panther::runtime {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

ProgressReport report_at(std::int64_t step) {
  return {.step = step, .loss = 2.31404, .lr = 2.9e-3, .gradient_norm = 0.8249, .tokens_per_second = 6120, .step_seconds = 0.163,
          .mfu_percent = 41.23, .bytes_sent = 1258291};
}

TEST(ProgressText, LineHasTheFacts) {
  const ProgressLook look{.total_steps = 1500, .eta_seconds = 220};
  const std::string line = progress_line(report_at(120), look);
  EXPECT_THAT(line, AllOf(HasSubstr("step 120/1500 (8 %)"), HasSubstr("loss 2.3140"), HasSubstr("lr 2.90e-03"), HasSubstr("grad 0.825"),
                          HasSubstr("6.12 k tokens/s"), HasSubstr("0.16 s/step"), HasSubstr("MFU 41.2 %"), HasSubstr("sent 1.20 MiB/step"),
                          HasSubstr("ETA 3 min 40 s")));
  ProgressReport last = report_at(1500);
  last.mfu_percent = 0;
  last.bytes_sent = 0;
  EXPECT_THAT(progress_line(last, look), AllOf(HasSubstr("(100 %)"), Not(HasSubstr("MFU")), Not(HasSubstr("sent")), Not(HasSubstr("ETA"))));
}

std::string without_colour(std::string text) {
  for (std::size_t begin = text.find('\x1b'); begin != std::string::npos; begin = text.find('\x1b')) text.erase(begin, text.find('m', begin) - begin + 1);
  return text;
}

TEST(ProgressText, BarFitsEveryTerminal) {
  for (std::size_t columns = 0; columns <= 200; ++columns) {
    for (const bool fancy : {false, true}) {
      const ProgressLook look{.total_steps = 1500, .eta_seconds = 220, .columns = columns, .colour = fancy, .utf8 = fancy};
      for (const std::int64_t step : {0, 1, 750, 1500, 1501}) {
        EXPECT_LE(display_width(without_colour(progress_bar(report_at(step), look))), std::max<std::size_t>(columns, 2) - 1);
      }
    }
  }
  const ProgressLook wide{.total_steps = 1500, .eta_seconds = 220, .columns = 200};
  EXPECT_THAT(progress_bar(report_at(750), wide), AllOf(HasSubstr(" 50 % ###############---------------  750/1500"), HasSubstr("ETA 3 min 40 s")));
}

/// What a program that trains for four steps writes to its terminal.
std::string on_terminal(const char* term, const char* no_color) {
  int master = -1;
  winsize size{.ws_row = 24, .ws_col = 100, .ws_xpixel = 0, .ws_ypixel = 0};
  const pid_t child = ::forkpty(&master, nullptr, nullptr, &size);
  if (child == 0) {
    ::setenv("TERM", term, 1);
    no_color != nullptr ? ::setenv("NO_COLOR", no_color, 1) : ::unsetenv("NO_COLOR");
    {
      Progress progress(0, 4, "samples");
      for (std::int64_t step = 1; step <= 4; ++step) {
        progress.step(report_at(step));
        if (step == 2) progress.note("step 2: validation loss 1.83");
        ::usleep(110000);
      }
      progress.finish();
    }
    ::_exit(0);
  }
  std::string output;
  char buffer[512];
  for (ssize_t n = ::read(master, buffer, sizeof buffer); n > 0; n = ::read(master, buffer, sizeof buffer)) output.append(buffer, static_cast<std::size_t>(n));
  int status = 0;
  ::waitpid(child, &status, 0);
  ::close(master);
  EXPECT_EQ(status, 0);
  return output;
}

TEST(Progress, DrawsABarOnATerminal) {
  const std::string coloured = on_terminal("xterm", nullptr);
  EXPECT_THAT(coloured, AllOf(HasSubstr("\r\x1b[2K 50 % "), HasSubstr("\x1b[32m"), HasSubstr("\r\x1b[2Kstep 2: validation loss 1.83\r\n\r\x1b[2K 50 %"),
                              HasSubstr("\r\x1b[2Kstep 4/4 (100 %)  loss 2.3140")));
  const std::string plain = on_terminal("xterm", "1");
  EXPECT_THAT(plain, AllOf(HasSubstr("\r\x1b[2K 50 % "), Not(HasSubstr("\x1b[32m"))));
  const std::string dumb = on_terminal("dumb", nullptr);
  EXPECT_THAT(dumb, AllOf(Not(HasSubstr("\x1b")), HasSubstr("step 1/4"), Not(HasSubstr("step 3/4")), HasSubstr("step 4/4")));
}

TEST(Progress, PrintsLinesElsewhere) {
  testing::internal::CaptureStdout();
  {
    Progress progress(10, 14, "tokens", ProgressStyle::lines);
    for (std::int64_t step = 11; step <= 14; ++step) progress.step(report_at(step));
    progress.note("done");
    progress.finish();
  }
  const std::string output = testing::internal::GetCapturedStdout();
  EXPECT_THAT(output, AllOf(HasSubstr("step 11/14"), Not(HasSubstr("step 12/14")), HasSubstr("step 14/14"), HasSubstr("\ndone\n"), Not(HasSubstr("\x1b"))));
  EXPECT_EQ(std::count(output.begin(), output.end(), '\n'), 3) << output;
}

TEST(Table, AlignsNamesAndColumns) {
  EXPECT_EQ(format_table("Summary", {{"loss", "5.55 -> 1.83"}, {"caf\xc3\xa9s", "2"}}),
            "Summary\n-------\n  loss   5.55 -> 1.83\n  caf\xc3\xa9s  2\n");
  EXPECT_EQ(format_columns({"layer", "kind", "size"}, {{"blocks.0", "dense", "8"}, {"x", "", "1.20 MiB"}}),
            "layer     kind       size\n"
            "-------------------------\n"
            "blocks.0  dense         8\n"
            "x                1.20 MiB\n");
  EXPECT_EQ(format_columns({"a"}, {}), "a\n-\n");
}

TEST(Memory, PeakGrowsWithWhatIsTouched) {
  const std::int64_t before = memory_peak().host_bytes;
  EXPECT_GT(before, 10 << 20);
  {
    const at::Tensor big = at::ones({1 << 25}, at::kFloat);  // 128 MiB
    EXPECT_GE(memory_peak().host_bytes, big.nbytes());
  }
  EXPECT_GE(memory_peak().host_bytes, before);
  if (at::hasCUDA()) {
    const at::Tensor on_device = at::ones({1 << 25}, at::TensorOptions().device(at::kCUDA));
    EXPECT_GE(memory_peak().device_bytes, static_cast<std::int64_t>(on_device.nbytes()));
  } else {
    EXPECT_EQ(memory_peak().device_bytes, 0);
  }
}

TEST(PeakFlops, ComeFromTheDataSheetOrTheClock) {
  EXPECT_EQ(data_sheet_flops("NVIDIA H100 80GB HBM3", at::kBFloat16, false), 989e12);
  EXPECT_EQ(data_sheet_flops("NVIDIA H100 PCIe", at::kHalf, false), 756e12);
  EXPECT_EQ(data_sheet_flops("NVIDIA H200", at::kFloat, true), 494e12);
  EXPECT_EQ(data_sheet_flops("NVIDIA A100-SXM4-80GB", at::kFloat, false), 19.5e12);
  EXPECT_EQ(data_sheet_flops("Voodoo 2", at::kFloat, false), 0);
  EXPECT_EQ(data_sheet_flops("NVIDIA H100", at::kLong, false), 0);
  const double measured = peak_flops(at::kCPU, at::kFloat);
  EXPECT_GT(measured, 1e8) << "slower than any processor that torch runs on";
  EXPECT_LT(measured, 1e15);
  EXPECT_EQ(peak_flops(at::kCPU, at::kLong), 0);
  if (at::hasCUDA()) {
    EXPECT_GE(peak_flops(at::Device(at::kCUDA, 0), at::kBFloat16), 0);
  }
}

}  // namespace
}  // namespace panther::runtime
