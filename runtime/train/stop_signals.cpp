#include "runtime/train/stop_signals.h"

#include <signal.h>
#include <unistd.h>

#include <atomic>

#include "core/exit_code.h"

namespace panther::runtime {

namespace {

std::atomic<bool> stop_flag{false};
std::atomic<bool> checkpoint_flag{false};
static_assert(std::atomic<bool>::is_always_lock_free, "signal handlers need lock-free flags");

void on_signal(int signal) {
  if (signal == SIGUSR2) {
    checkpoint_flag = true;
    return;
  }
  if (stop_flag.exchange(true) && signal == SIGINT) _exit(exit_for_signal(SIGINT));
}

}  // namespace

void install_stop_signals() {
  struct sigaction action {};
  action.sa_handler = on_signal;
  sigemptyset(&action.sa_mask);
  action.sa_flags = SA_RESTART;
  for (const int signal : {SIGTERM, SIGINT, SIGUSR2}) sigaction(signal, &action, nullptr);
}

bool stop_requested() noexcept { return stop_flag; }
bool take_checkpoint_request() noexcept { return checkpoint_flag.exchange(false); }

}  // namespace panther::runtime
