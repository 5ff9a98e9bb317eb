#pragma once
// metrics.csv: step, time and one column per tag in the order of first use.
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "runtime/observe/append_file.h"
#include "runtime/observe/metrics.h"

namespace panther::runtime {

class WideCsv {
 public:
  /// Continues an existing file: rows later than from_step go, its columns stay. Throws Io.
  WideCsv(std::filesystem::path path, std::int64_t from_step);
  /// Empty cells where a tag is absent. Commas, quotes and line breaks in tags become '_'.
  void write(std::int64_t step, double time, const Scalars& scalars);
  void sync() { file_->sync(); }

 private:
  void add_columns(const Scalars& scalars);
  std::string header() const;

  std::filesystem::path path_;
  std::vector<std::string> tags_;
  std::unique_ptr<AppendFile> file_;
};

}  // namespace panther::runtime
