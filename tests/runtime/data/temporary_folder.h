#pragma once
// A folder of one test, removed with it.
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>

#include "core/scratch_folder.h"

namespace panther::test {

class TemporaryFolder : public ScratchFolder {
 public:
  /// Writes a file, with its folders, and returns its path.
  std::string write(const std::string& name, std::string_view content) const {
    const std::filesystem::path file = path() / name;
    std::filesystem::create_directories(file.parent_path());
    std::ofstream(file, std::ios::binary) << content;
    return file.string();
  }
};

}  // namespace panther::test
