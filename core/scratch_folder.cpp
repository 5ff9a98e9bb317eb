#include "core/scratch_folder.h"

#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "core/env.h"
#include "core/error.h"

namespace panther {

namespace fs = std::filesystem;

ScratchFolder::ScratchFolder(const fs::path& inside) {
  const std::string temporary = env_value("TMPDIR").value_or("");
  const fs::path folder = !inside.empty() ? inside : fs::path(temporary.empty() ? "/tmp" : temporary);
  std::string name = (folder / "panther_XXXXXX").string();
  if (::mkdtemp(name.data()) == nullptr)
    fail(ErrorCode::Io, "cannot create a temporary folder '", name, "': ", std::strerror(errno), "; set TMPDIR to a writable folder");
  path_ = name;
}

ScratchFolder::~ScratchFolder() {
  std::error_code ignored;
  fs::remove_all(path_, ignored);
}

}  // namespace panther
