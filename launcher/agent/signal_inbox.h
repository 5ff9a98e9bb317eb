#pragma once
// Signals as a descriptor.
#include <csignal>
#include <optional>

#include "launcher/agent/process.h"

namespace panther::launcher {

/// While it lives, SIGINT, SIGTERM, SIGHUP and SIGUSR2 of this thread and of threads it starts later wait in `fd()`, and writing to a
/// closed console is an error instead of the end. Make it before other threads start.
class SignalInbox {
 public:
  SignalInbox();
  ~SignalInbox();
  SignalInbox(const SignalInbox&) = delete;
  SignalInbox& operator=(const SignalInbox&) = delete;
  int fd() const { return fd_.get(); }
  /// The next signal, nullopt when none waits.
  std::optional<int> take();

 private:
  sigset_t before_{};
  void (*pipe_before_)(int) = SIG_DFL;
  Descriptor fd_;
};

}  // namespace panther::launcher
