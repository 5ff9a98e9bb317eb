#include "core/atomic_file.h"

#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <cstdio>
#include <functional>
#include <thread>

#include "core/error.h"
#include "expect_error.h"
#include "temp_folder.h"

namespace panther {
namespace {

using test::expect_error;
using test::TempFolder;

constexpr int kSkipped = 77;

std::size_t files_in(const std::filesystem::path& folder) {
  return static_cast<std::size_t>(std::distance(std::filesystem::directory_iterator(folder), {}));
}

/// Runs `body` in a child; its return value is the child's exit code.
int in_child(const std::function<int()>& body) {
  const pid_t child = ::fork();
  if (child == 0) {
    try {
      ::_exit(body());
    } catch (const std::exception& error) {
      std::fprintf(stderr, "in the child: %s\n", error.what());
      ::_exit(99);
    }
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/// 0 when the write fails with Io naming the path and `reason`, the old text stands and nothing else lies in the folder.
int fails_cleanly(const std::filesystem::path& path, std::size_t size, const std::string& reason) {
  try {
    write_file_atomic(path, std::string(size, 'x'));
    return 1;
  } catch (const Error& error) {
    const std::string text = error.what();
    if (error.code() != ErrorCode::Io) return 2;
    if (text.find(path.string()) == std::string::npos || text.find(reason) == std::string::npos) return 3;
  }
  if (read_file(path) != "old") return 4;
  return files_in(path.parent_path()) == 1 ? 0 : 5;
}

TEST(AtomicFile, ReplacesAndLeavesNothingBeside) {
  const TempFolder folder;
  const auto path = folder / "state.json";
  write_file_atomic(path, "one");
  EXPECT_EQ(read_file(path), "one");
  const std::string big(3'000'000, 'z');
  write_file_atomic(path, big);
  EXPECT_EQ(read_file(path), big);
  write_file_atomic(path, std::string_view("a\0b", 3));
  EXPECT_EQ(read_file(path).size(), 3u);
  EXPECT_EQ(files_in(folder.path()), 1u);
}

TEST(AtomicFile, AReaderSeesTheOldOrTheNewNeverAMixture) {
  const TempFolder folder;
  const auto path = folder / "state";
  const std::string even(200'000, 'e'), odd(100'000, 'o');
  write_file_atomic(path, even);
  std::atomic<bool> done{false};
  std::jthread writer([&] {
    for (int i = 0; i < 50; ++i) write_file_atomic(path, i % 2 == 0 ? odd : even);
    done = true;
  });
  while (!done) {
    const std::string seen = read_file(path);
    ASSERT_TRUE(seen == even || seen == odd) << "torn read of " << seen.size() << " bytes";
  }
}

TEST(AtomicFile, ErrorsNamePathReasonAndRemedy) {
  const TempFolder folder;
  expect_error(ErrorCode::Io, {"/none/x", "No such file", "check that the path exists", "is unchanged"},
               [&] { write_file_atomic(folder / "none/x", "text"); });
  expect_error(ErrorCode::Io, {"cannot open", "No such file"}, [&] { read_file(folder / "none"); });
  write_file_atomic(folder / "file", "");
  expect_error(ErrorCode::Io, {"Not a directory"}, [&] { write_file_atomic(folder / "file/below", "text"); });
  expect_error(ErrorCode::Io, {"cannot read", "Is a directory"}, [&] { read_file(folder.path()); });
  std::filesystem::create_directory(folder / "sub");
  expect_error(ErrorCode::Io, {"cannot replace"}, [&] { write_file_atomic(folder / "sub", "text"); });
  EXPECT_EQ(files_in(folder.path()), 2u) << "nothing stays beside";
}

TEST(AtomicFile, AFullDiskLeavesTheOldFile) {
  const TempFolder folder;
  const int result = in_child([&] {
    if (::unshare(CLONE_NEWNS) != 0 || ::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) return kSkipped;
    if (::mount("tmpfs", folder.path().c_str(), "tmpfs", 0, "size=256k") != 0) return kSkipped;
    write_file_atomic(folder / "state", "old");
    return fails_cleanly(folder / "state", 1'000'000, "No space left on device; free space");
  });
  if (result == kSkipped) GTEST_SKIP() << "mounting a small file system is not allowed here";
  EXPECT_EQ(result, 0);
}

TEST(AtomicFile, ASizeLimitLeavesTheOldFile) {
  const TempFolder folder;
  const int result = in_child([&] {
    write_file_atomic(folder / "state", "old");
    ::signal(SIGXFSZ, SIG_IGN);
    const rlimit limit{100'000, 100'000};
    if (::setrlimit(RLIMIT_FSIZE, &limit) != 0) return kSkipped;
    return fails_cleanly(folder / "state", 1'000'000, "File too large; raise the file size limit");
  });
  EXPECT_EQ(result, 0);
}

TEST(AtomicFile, AFolderWithoutPermissionIsNamed) {
  const TempFolder folder;
  const int result = in_child([&] {
    ::umask(022);
    write_file_atomic(folder / "state", "old");
    ::chmod(folder.path().c_str(), 0555);
    constexpr uid_t kNobody = 65534;
    if (::getuid() == 0 && ::setuid(kNobody) != 0) return kSkipped;  // root may write anywhere
    return fails_cleanly(folder / "state", 10, "Permission denied; check the owner and permissions");
  });
  std::filesystem::permissions(folder.path(), std::filesystem::perms::owner_all);
  if (result == kSkipped) GTEST_SKIP() << "cannot become another user";
  EXPECT_EQ(result, 0);
}

TEST(DurableFile, AppendsAndCommitsOnce) {
  const TempFolder folder;
  const auto path = folder / "data";
  DurableFile file(path);
  file.append("head ");
  const std::vector<std::byte> tail(100'000, std::byte{'t'});
  file.append(tail);
  file.commit();
  EXPECT_EQ(read_file(path), "head " + std::string(100'000, 't'));
  expect_error(ErrorCode::Internal, {"committed already"}, [&] { file.append("more"); });
  expect_error(ErrorCode::Internal, {"committed already"}, [&] { file.commit(); });
}

TEST(DurableFile, AFullDeviceIsAnIoError) {
  if (!std::filesystem::exists("/dev/full")) GTEST_SKIP() << "no /dev/full";
  DurableFile file("/dev/full");
  expect_error(ErrorCode::Io, {"/dev/full", "No space left on device", "free space"}, [&] {
    file.append("x");
    file.commit();
  });
}

TEST(ReplaceLink, PointsAtOneOrTheOther) {
  const TempFolder folder;
  const auto link = folder / "latest";
  replace_link("step_1", link);
  EXPECT_EQ(std::filesystem::read_symlink(link), "step_1");
  replace_link("step_2", link);
  EXPECT_EQ(std::filesystem::read_symlink(link), "step_2");
  EXPECT_EQ(files_in(folder.path()), 1u);
  std::filesystem::create_directory(folder / "real");
  expect_error(ErrorCode::Io, {"cannot replace"}, [&] { replace_link("step_3", folder / "real"); });
  EXPECT_EQ(files_in(folder.path()), 2u);
}

TEST(ReadFile, TakesFilesWhoseSizeIsUnknown) { EXPECT_NE(read_file("/proc/self/status").find("Name:"), std::string::npos); }

}  // namespace
}  // namespace panther
