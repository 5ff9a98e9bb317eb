#pragma once
// The factors a command computed, and the files they go to: all of them appear, or none.
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "kernels/view.h"

namespace panther::tools {

struct Factor {
  std::string name;  ///< "u"
  TensorView view;   ///< 1-d or 2-d; on the host or a device; memory stays with who computed it until write() returns
};

struct WrittenFile {
  std::filesystem::path path;
  std::string shapes;  ///< "20000 x 50", or "u 20000 x 50, s 50" for several in one file
};

/// OUT.npy: OUT.<name>.npy for each of several factors, OUT.npy itself for one. OUT.safetensors: that file.
std::vector<std::filesystem::path> result_paths(const std::filesystem::path& output, const std::vector<std::string>& names);

/// Before the work: the folder is there and takes files, and nothing would be replaced unless `force`. Throws Io, InvalidArgument.
void require_writable(const std::vector<std::filesystem::path>& paths, bool force);

struct TextFile {
  std::filesystem::path path;
  std::string text;
};

/// Row-major files, and `texts` with them. On a throw or a signal no file has changed. Throws Io (also beforehand when the disk has too
/// little room), and Unsupported.
std::vector<WrittenFile> write_results(const std::filesystem::path& output, const std::vector<Factor>& factors,
                                       const std::vector<TextFile>& texts);

}  // namespace panther::tools
