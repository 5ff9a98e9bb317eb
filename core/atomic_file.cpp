#include "core/atomic_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <utility>

#include "core/error.h"

namespace panther {

namespace {

std::string_view remedy(int error) {
  switch (error) {
    case ENOSPC:
    case EDQUOT:
      return "free space or choose another folder";
    case EFBIG:
      return "raise the file size limit (ulimit -f) or choose another folder";
    case EACCES:
    case EPERM:
      return "check the owner and permissions of the folder, or choose another one";
    case EROFS:
      return "the file system is mounted read-only; choose another folder";
    case ENOENT:
      return "check that the path exists";
    case EISDIR:
      return "the path is a folder; name a file";
    case ENOTDIR:
      return "a part of the path is a file, not a folder";
    case EMFILE:
    case ENFILE:
      return "raise the limit of open files (ulimit -n)";
    default:
      return "check the file system";
  }
}

[[noreturn]] void fail_io(std::string_view doing, const std::filesystem::path& path, int error) {
  fail(ErrorCode::Io, "cannot ", doing, " '", path.string(), "': ", std::strerror(error), "; ", remedy(error));
}

void write_all(int fd, const char* data, std::size_t size, const std::filesystem::path& path) {
  while (size > 0) {
    // Linux moves at most 0x7ffff000 bytes per call; smaller pieces keep the call interruptible.
    const ssize_t count = ::write(fd, data, std::min<std::size_t>(size, std::size_t{1} << 30));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) fail_io("write", path, errno);
    data += count;
    size -= static_cast<std::size_t>(count);
  }
}

int open_for_writing(const std::filesystem::path& path, int extra_flags) {
  const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC | extra_flags, 0644);
  if (fd < 0) fail_io("create", path, errno);
  return fd;
}

/// A name beside `path` that no other thread or process uses.
std::filesystem::path name_beside(const std::filesystem::path& path) {
  static std::atomic<unsigned> count{0};
  std::filesystem::path beside = path;
  beside += concat(".tmp.", ::getpid(), ".", count.fetch_add(1));
  return beside;
}

std::filesystem::path folder_of(const std::filesystem::path& path) {
  return path.has_parent_path() ? path.parent_path() : std::filesystem::path(".");
}

void rename_durably(const std::filesystem::path& from, const std::filesystem::path& to) {
  if (::rename(from.c_str(), to.c_str()) != 0) {
    const int error = errno;
    ::unlink(from.c_str());
    fail_io("replace", to, error);
  }
  sync_folder(folder_of(to));
}

}  // namespace

void write_file_atomic(const std::filesystem::path& path, std::string_view bytes) {
  try {
    AtomicFile file(path);
    file.append(bytes);
    file.commit();
  } catch (const Error& error) {
    throw error.with(concat("while writing '", path.string(), "', which is unchanged"));
  }
}

DurableFile::DurableFile(const std::filesystem::path& path) : path_(path), fd_(open_for_writing(path, O_TRUNC)) {}

DurableFile::~DurableFile() {
  if (fd_ >= 0) ::close(fd_);
}

void DurableFile::append(std::span<const std::byte> bytes) {
  PANTHER_CHECK(fd_ >= 0, "'", path_.string(), "' is committed already");
  write_all(fd_, reinterpret_cast<const char*>(bytes.data()), bytes.size(), path_);
}

void DurableFile::append(std::string_view text) { append(std::as_bytes(std::span(text.data(), text.size()))); }

void DurableFile::commit() {
  PANTHER_CHECK(fd_ >= 0, "'", path_.string(), "' is committed already");
  // After a failed fsync the kernel may have dropped the pages: the descriptor is closed and never retried.
  const int sync_error = ::fsync(fd_) == 0 ? 0 : errno;
  const int close_error = ::close(std::exchange(fd_, -1)) == 0 ? 0 : errno;
  if (sync_error != 0 && sync_error != EINVAL) fail_io("flush", path_, sync_error);
  if (close_error != 0 && close_error != EINTR) fail_io("close", path_, close_error);
}

AtomicFile::AtomicFile(const std::filesystem::path& path) : path_(path), beside_(name_beside(path)), file_(beside_) {}

AtomicFile::~AtomicFile() {
  if (state_ != State::published) ::unlink(beside_.c_str());
}

void AtomicFile::flush() {
  if (state_ != State::writing) return;
  file_.commit();
  state_ = State::flushed;
}

void AtomicFile::commit() {
  flush();
  rename_durably(beside_, path_);
  state_ = State::published;
}

std::string read_file(const std::filesystem::path& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) fail_io("open", path, errno);
  struct Closer {
    int fd;
    ~Closer() { ::close(fd); }
  } const closer{fd};
  struct stat facts {};
  if (::fstat(fd, &facts) != 0) fail_io("read", path, errno);
  std::string text;
  // The size is only a hint: files of /proc say 0.
  std::size_t used = 0;
  text.resize(static_cast<std::size_t>(facts.st_size) + 4096);
  while (true) {
    if (used == text.size()) text.resize(text.size() * 2);
    const ssize_t count = ::read(fd, text.data() + used, std::min<std::size_t>(text.size() - used, std::size_t{1} << 30));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) fail_io("read", path, errno);
    if (count == 0) break;
    used += static_cast<std::size_t>(count);
  }
  text.resize(used);
  return text;
}

void sync_folder(const std::filesystem::path& folder) {
  const int fd = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) fail_io("open folder", folder, errno);
  const int error = ::fsync(fd) == 0 ? 0 : errno;
  ::close(fd);
  // Some network file systems do not know fsync of a folder; the rename itself is then all that can be had.
  if (error != 0 && error != EINVAL && error != ENOTSUP) fail_io("flush folder", folder, error);
}

void replace_link(const std::filesystem::path& target, const std::filesystem::path& link) {
  const std::filesystem::path beside = name_beside(link);
  if (::symlink(target.c_str(), beside.c_str()) != 0) fail_io("create link", link, errno);
  rename_durably(beside, link);
}

}  // namespace panther
