#pragma once
// Files that are either whole or absent: write beside, fsync, rename, fsync the folder.
#include <cstddef>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>

#include "core/export.h"

namespace panther {

/// Replaces `path` with `bytes` atomically and durably. Throws Io with path and errno text; then `path` is unchanged.
PANTHER_CORE_API void write_file_atomic(const std::filesystem::path& path, std::string_view bytes);

/// An exclusive writer of a file that is not yet visible to anybody: plain appends, then one fsync and close.
class PANTHER_CORE_API DurableFile {
 public:
  explicit DurableFile(const std::filesystem::path& path);
  ~DurableFile();
  DurableFile(const DurableFile&) = delete;
  DurableFile& operator=(const DurableFile&) = delete;
  void append(std::span<const std::byte> bytes);
  void append(std::string_view text);
  /// fsync and close; throws Io (disk full shows up here at the latest).
  void commit();

 private:
  std::filesystem::path path_;
  int fd_;
};

/// A file written piece by piece that appears under its name only when it is whole. Without commit() nothing is left.
class PANTHER_CORE_API AtomicFile {
 public:
  /// Creates `path`.tmp.<process>.<n> beside it.
  explicit AtomicFile(const std::filesystem::path& path);
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;
  const std::filesystem::path& path() const noexcept { return path_; }
  const std::filesystem::path& temporary() const noexcept { return beside_; }
  void append(std::span<const std::byte> bytes) { file_.append(bytes); }
  void append(std::string_view text) { file_.append(text); }
  /// All bytes are on the disk under the temporary name. Throws Io. Between flush() and commit() several files can be made ready
  /// before the first of them appears.
  void flush();
  /// flush() if that is not done yet, then the rename.
  void commit();

 private:
  std::filesystem::path path_, beside_;
  DurableFile file_;
  enum class State { writing, flushed, published } state_ = State::writing;
};

/// Whole file as bytes. Throws Io.
PANTHER_CORE_API std::string read_file(const std::filesystem::path& path);
/// fsync of a folder, so that a rename in it survives a power cut.
PANTHER_CORE_API void sync_folder(const std::filesystem::path& folder);
/// Points `link` (a symbolic link) at `target` by rename, so that readers see the old or the new one.
PANTHER_CORE_API void replace_link(const std::filesystem::path& target, const std::filesystem::path& link);

}  // namespace panther
