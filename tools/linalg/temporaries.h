#pragma once
// Files that a Ctrl-C must not leave behind.
#include <filesystem>

namespace panther::tools {

/// From now on SIGINT, SIGTERM and SIGHUP remove the registered files and end the process as that signal does (128 + n in a shell). Call
/// once, from main.
void remove_temporaries_on_signals();

/// While it lives, the file is removed by such a signal. At most 16 at a time. Does not remove it otherwise.
class Temporary {
 public:
  explicit Temporary(const std::filesystem::path& path);
  ~Temporary();
  Temporary(const Temporary&) = delete;
  Temporary& operator=(const Temporary&) = delete;

 private:
  int slot_;
};

/// While it lives, those signals wait: several renames happen all or none.
class SignalsHeld {
 public:
  SignalsHeld();
  ~SignalsHeld();
  SignalsHeld(const SignalsHeld&) = delete;
  SignalsHeld& operator=(const SignalsHeld&) = delete;
};

}  // namespace panther::tools
