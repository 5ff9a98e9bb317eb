#include "runtime/checkpoint/step_folder.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstring>

#include "core/atomic_file.h"
#include "core/error.h"
#include "core/log.h"

namespace panther::runtime {

namespace fs = std::filesystem;

namespace {

constexpr std::string_view kTemporaryPrefix = ".tmp_step_";
constexpr std::string_view kStepPrefix = "step_";
constexpr std::string_view kWaitingPrefix = ".exchange_step_";
constexpr std::string_view kLinkPrefix = "latest.tmp.";

[[noreturn]] void fail_io(std::string_view doing, const fs::path& path, int error) {
  fail(ErrorCode::Io, "cannot ", doing, " '", path.string(), "': ", std::strerror(error),
       "; check the space, the owner and the permissions of the folder, or choose another run.dir");
}

fs::path temporary_path(const fs::path& checkpoints, std::int64_t step) {
  return checkpoints / concat(kTemporaryPrefix, step, "_", ::getpid());
}

/// A descriptor that holds the folder's lock; -1 when somebody alive has it.
int try_lock(const fs::path& folder) {
  const int fd = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return -1;
  // File systems without locks answer other errors: there nobody can be seen to be alive.
  if (::flock(fd, LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK) return fd;
  ::close(fd);
  return -1;
}

void remove_quietly(const fs::path& path) noexcept {
  std::error_code error;
  fs::remove_all(path, error);
  if (error) log_warn("checkpoint_leftover", {{"path", path.string()}, {"error", error.message()}});
}

std::vector<fs::path> entries_of(const fs::path& folder) {
  std::vector<fs::path> out;
  std::error_code error;
  for (fs::directory_iterator it(folder, error), end; !error && it != end; it.increment(error)) out.push_back(it->path());
  if (error && error != std::errc::no_such_file_or_directory) fail_io("list", folder, error.value());
  return out;
}

}  // namespace

std::string step_name(std::int64_t step) { return concat(kStepPrefix, step); }

std::optional<std::int64_t> step_of(const fs::path& folder) {
  const std::string name = folder.filename().string();
  if (!name.starts_with(kStepPrefix)) return std::nullopt;
  std::int64_t step = 0;
  const char* end = name.data() + name.size();
  const auto [stop, error] = std::from_chars(name.data() + kStepPrefix.size(), end, step);
  if (error != std::errc() || stop != end || step_name(step) != name) return std::nullopt;
  return step;
}

std::vector<std::int64_t> steps_in(const fs::path& checkpoints) {
  std::vector<std::int64_t> steps;
  for (const fs::path& path : entries_of(checkpoints)) {
    std::error_code error;
    if (const auto step = step_of(path); step && fs::is_directory(path, error)) steps.push_back(*step);
  }
  std::sort(steps.begin(), steps.end());
  return steps;
}

bool is_finished(const fs::path& step_folder) {
  std::error_code error;
  return fs::is_regular_file(step_folder / kDoneFile, error);
}

TemporaryFolder::TemporaryFolder(const fs::path& checkpoints, std::int64_t step)
    : checkpoints_(checkpoints), path_(temporary_path(checkpoints, step)), step_(step) {
  if (::mkdir(path_.c_str(), 0755) != 0) fail_io("create folder", path_, errno);
  lock_ = try_lock(path_);
}

TemporaryFolder::~TemporaryFolder() {
  remove_quietly(path_);
  if (lock_ >= 0) ::close(lock_);
}

void TemporaryFolder::publish() {
  const fs::path target = checkpoints_ / step_name(step_);
  sync_folder(path_);
  // An exchange leaves no moment without a step_<n>; what was there before goes away with the temporary name.
  int failed = ::renameat2(AT_FDCWD, path_.c_str(), AT_FDCWD, target.c_str(), RENAME_EXCHANGE);
  if (failed != 0 && errno == ENOENT) failed = ::rename(path_.c_str(), target.c_str());
  if (failed != 0 && (errno == EINVAL || errno == ENOSYS)) {
    if (fs::exists(target)) remove_step(checkpoints_, step_);
    failed = ::rename(path_.c_str(), target.c_str());
  }
  if (failed != 0) fail_io("publish checkpoint", target, errno);
  sync_folder(checkpoints_);
}

void remove_leftovers(const fs::path& checkpoints) {
  for (const fs::path& path : entries_of(checkpoints)) {
    const std::string name = path.filename().string();
    if (name.starts_with(kLinkPrefix)) remove_quietly(path);
    if (!name.starts_with(kTemporaryPrefix)) continue;
    const int lock = try_lock(path);
    if (lock < 0) continue;
    remove_quietly(path);
    ::close(lock);
  }
}

std::string exchange_name(int rank) { return concat("exchange_rank_", rank, ".safetensors"); }

fs::path exchange_waiting(const fs::path& checkpoints, std::int64_t step, int rank) {
  return checkpoints / concat(kWaitingPrefix, step, "_rank_", rank);
}

void remove_waiting(const fs::path& checkpoints, std::int64_t step) {
  for (const fs::path& path : entries_of(checkpoints)) {
    const std::string name = path.filename().string();
    if (!name.starts_with(kWaitingPrefix)) continue;
    std::int64_t waits_for = 0;
    const auto [stop, error] = std::from_chars(name.data() + kWaitingPrefix.size(), name.data() + name.size(), waits_for);
    // Those of later steps are of a save to come: ranks write while rank 0 still saves in the background.
    if (error == std::errc() && waits_for <= step) remove_quietly(path);
  }
}

void remove_step(const fs::path& checkpoints, std::int64_t step) {
  const fs::path hidden = checkpoints / concat(kTemporaryPrefix, step, "_", ::getpid(), "_old");
  if (::rename((checkpoints / step_name(step)).c_str(), hidden.c_str()) == 0) {
    remove_quietly(hidden);
  } else {
    log_warn("checkpoint_not_deleted", {{"step", step}, {"folder", checkpoints.string()}, {"error", std::strerror(errno)}});
  }
}

}  // namespace panther::runtime
