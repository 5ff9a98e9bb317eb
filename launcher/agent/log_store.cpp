#include "launcher/agent/log_store.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "core/log.h"
#include "core/text.h"

namespace panther::launcher {

namespace fs = std::filesystem;

namespace {

std::string file_name(std::size_t index) { return concat("rank_", index / 2, index % 2 == 0 ? ".out" : ".err"); }

Descriptor open_file(const fs::path& path) {
  Descriptor file(::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644));
  if (file.get() < 0) log_warn("log_not_written", {{"file", path.string()}, {"error", std::strerror(errno)}});
  return file;
}

/// A new folder attempt_<k>; empty when none can be made.
fs::path make_attempt(const fs::path& logs) {
  std::error_code error;
  fs::create_directories(logs, error);
  for (int attempt = 0; !error; ++attempt) {
    const fs::path folder = logs / concat("attempt_", attempt);
    if (fs::create_directory(folder, error)) return folder;
  }
  log_warn("logs_not_written", {{"folder", logs.string()}, {"error", error.message()}});
  return {};
}

}  // namespace

LogStore::LogStore(fs::path spool, int ranks) : folder_(std::move(spool)) {
  for (std::size_t i = 0; i < static_cast<std::size_t>(ranks) * 2; ++i) files_.push_back(open_file(folder_ / file_name(i)));
}

void LogStore::append(int rank, Channel channel, std::string_view bytes) {
  Descriptor& file = files_[static_cast<std::size_t>(rank) * 2 + (channel == Channel::err)];
  while (file.get() >= 0 && !bytes.empty()) {
    const ssize_t count = ::write(file.get(), bytes.data(), bytes.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) {
      log_warn("log_given_up", {{"rank", rank}, {"folder", folder_.string()}, {"error", std::strerror(errno)}});
      file.reset();
      return;
    }
    bytes.remove_prefix(static_cast<std::size_t>(count));
  }
}

void LogStore::settle(const fs::path& run_folder) {
  if (settled_) return;
  const fs::path target = make_attempt(run_folder / "logs");
  if (target.empty()) return;
  for (std::size_t i = 0; i < files_.size(); ++i) {
    std::error_code error;
    fs::copy_file(folder_ / file_name(i), target / file_name(i), error);
    if (error) log_warn("log_not_moved", {{"file", (target / file_name(i)).string()}, {"error", error.message()}});
    files_[i] = open_file(target / file_name(i));
  }
  folder_ = target;
  settled_ = true;
}

}  // namespace panther::launcher
