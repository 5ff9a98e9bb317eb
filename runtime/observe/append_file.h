#pragma once
// A file that grows by whole records.
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

namespace panther::runtime {

class AppendFile {
 public:
  /// Creates the file when it is not there. Throws Io.
  explicit AppendFile(std::filesystem::path path);
  ~AppendFile();
  AppendFile(const AppendFile&) = delete;
  AppendFile& operator=(const AppendFile&) = delete;
  /// Hands the bytes to the operating system. Throws Io with path and reason (disk full).
  void append(std::string_view bytes);
  /// Until the bytes are on the disk. Throws Io.
  void sync();

 private:
  std::filesystem::path path_;
  int fd_;
};

/// Reads a text file line by line, drops a torn last line and those that `keep` refuses, and rewrites the file when any was dropped.
/// Returns what is left; "" when there is no file. Throws Io.
std::string keep_lines(const std::filesystem::path& path, bool (*keep)(std::string_view line, std::int64_t from_step), std::int64_t from_step);

}  // namespace panther::runtime
