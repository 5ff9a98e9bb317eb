#pragma once
// A folder of its own for one test, removed at the end. In memory where that exists: many of these tests flush a lot.
#include <unistd.h>

#include <filesystem>

#include "core/scratch_folder.h"

namespace panther::test {

class TempFolder : public ScratchFolder {
 public:
  TempFolder() : ScratchFolder(in_memory() ? "/dev/shm" : "") {}

 private:
  static bool in_memory() { return std::filesystem::is_directory("/dev/shm") && ::access("/dev/shm", W_OK) == 0; }
};

}  // namespace panther::test
