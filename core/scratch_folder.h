#pragma once
// A temporary folder that vanishes.
#include <filesystem>
#include <string>

#include "core/export.h"

namespace panther {

/// Its own new folder, removed with everything in it at the end of the scope.
class PANTHER_CORE_API ScratchFolder {
 public:
  /// `inside`: the folder that holds it; empty: TMPDIR, or /tmp. Throws Io with the reason.
  explicit ScratchFolder(const std::filesystem::path& inside = {});
  ~ScratchFolder();
  ScratchFolder(const ScratchFolder&) = delete;
  ScratchFolder& operator=(const ScratchFolder&) = delete;
  const std::filesystem::path& path() const noexcept { return path_; }
  std::filesystem::path operator/(const std::string& name) const { return path_ / name; }

 private:
  std::filesystem::path path_;
};

}  // namespace panther
