#include "runtime/observe/append_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "core/atomic_file.h"
#include "core/error.h"

namespace panther::runtime {

AppendFile::AppendFile(std::filesystem::path path) : path_(std::move(path)) {
  fd_ = ::open(path_.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  if (fd_ < 0) fail(ErrorCode::Io, "cannot write '", path_.string(), "': ", std::strerror(errno), "; check the run folder (run.dir)");
}

AppendFile::~AppendFile() { ::close(fd_); }

void AppendFile::append(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(fd_, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) fail(ErrorCode::Io, "cannot write '", path_.string(), "': ", std::strerror(errno), "; free space or choose another run.dir");
    bytes.remove_prefix(static_cast<std::size_t>(written));
  }
}

void AppendFile::sync() {
  if (::fdatasync(fd_) != 0) fail(ErrorCode::Io, "cannot store '", path_.string(), "': ", std::strerror(errno));
}

std::string keep_lines(const std::filesystem::path& path, bool (*keep)(std::string_view, std::int64_t), std::int64_t from_step) {
  std::error_code ignored;
  if (!std::filesystem::exists(path, ignored)) return "";
  const std::string text = read_file(path);
  std::string kept;
  std::size_t begin = 0;
  for (std::size_t end = text.find('\n'); end != std::string::npos; begin = end + 1, end = text.find('\n', begin)) {
    const auto line = std::string_view(text).substr(begin, end - begin);
    if (keep(line, from_step)) kept.append(line).append("\n");
  }
  if (kept.size() != text.size()) write_file_atomic(path, kept);
  return kept;
}

}  // namespace panther::runtime
