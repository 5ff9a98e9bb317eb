#include "core/error.h"

#include <gtest/gtest.h>

#include <new>
#include <set>

#include "case_name.h"
#include "core/exit_code.h"
#include "expect_error.h"

namespace panther {
namespace {

constexpr ErrorCode kCodes[]{ErrorCode::InvalidArgument, ErrorCode::Unsupported, ErrorCode::PeerLost, ErrorCode::Timeout,
                             ErrorCode::DeviceFault, ErrorCode::OutOfMemory, ErrorCode::Corrupt, ErrorCode::Internal,
                             ErrorCode::NonFinite, ErrorCode::Io};

TEST(Error, ContextGrowsLineByLine) {
  const Error error(ErrorCode::Corrupt, "chunk 3 does not match its checksum");
  EXPECT_STREQ(error.what(), "chunk 3 does not match its checksum");
  const Error placed = error.with("while reading 'a.safetensors'").with("rank 1, step 40");
  EXPECT_EQ(placed.code(), ErrorCode::Corrupt);
  EXPECT_EQ(placed.message(), "chunk 3 does not match its checksum");
  EXPECT_EQ(placed.context(), "while reading 'a.safetensors'\nrank 1, step 40");
  EXPECT_STREQ(placed.what(), "chunk 3 does not match its checksum\n  while reading 'a.safetensors'\n  rank 1, step 40");
}

TEST(Error, ChecksSayWhoseFaultItIs) {
  const int width = 3;
  test::expect_error(ErrorCode::InvalidArgument, {"width 3 is odd"}, [&] { PANTHER_REQUIRE(width % 2 == 0, "width ", width, " is odd"); });
  test::expect_error(ErrorCode::Internal, {"error_test.cpp:", "width == 4", "saw 3"}, [&] { PANTHER_CHECK(width == 4, "saw ", width); });
}

TEST(Error, NamesAndExitCodesAreDistinctAndAsDocumented) {
  std::set<std::string_view> names;
  std::set<int> exits;
  for (const ErrorCode code : kCodes) {
    names.insert(error_code_name(code));
    exits.insert(exit_code_for(code));
  }
  EXPECT_EQ(names.size(), std::size(kCodes));
  EXPECT_EQ(exits, (std::set<int>{64, 65, 66, 67, 68, 69, 70, 71, 72, 74}));
  EXPECT_EQ(exit_code_for(ErrorCode::InvalidArgument), 64);
  EXPECT_EQ(exit_code_for(ErrorCode::Io), 74);
  EXPECT_EQ(exit_for_signal(9), 137);
}

struct Ending {
  int (*body)(int, char**);
  int exit_code;
  const char* text;
};

void PrintTo(const Ending& value, std::ostream* out) { *out << test::case_name(concat(value.exit_code, value.text)); }
class RunMain : public testing::TestWithParam<Ending> {};

TEST_P(RunMain, ReportsAndReturnsTheCode) {
  testing::internal::CaptureStderr();
  const int code = run_main(GetParam().body, 0, nullptr);
  const std::string text = testing::internal::GetCapturedStderr();
  EXPECT_EQ(code, GetParam().exit_code);
  EXPECT_NE(text.find(GetParam().text), std::string::npos) << text;
}

int succeed(int, char**) { return 3; }
int fail_io(int, char**) { throw Error(ErrorCode::Io, "disk full", "while saving"); }
int fail_memory(int, char**) { throw std::bad_alloc(); }
int fail_standard(int, char**) { throw std::runtime_error("odd"); }
int fail_strangely(int, char**) { throw 7; }

INSTANTIATE_TEST_SUITE_P(Endings, RunMain,
                         testing::Values(Ending{succeed, 3, ""},
                                         Ending{fail_io, 74, "error: disk full\n  while saving\n  (Io, exit code 74)\n"},
                                         Ending{fail_memory, 69, "OutOfMemory"}, Ending{fail_standard, 71, "error: odd\n  (Internal"},
                                         Ending{fail_strangely, 71, "Internal"}));

}  // namespace
}  // namespace panther
