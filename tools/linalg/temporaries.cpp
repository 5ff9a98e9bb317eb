#include "tools/linalg/temporaries.h"

#include <signal.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cstring>

#include "core/error.h"

namespace panther::tools {
namespace {

constexpr int kSignals[] = {SIGINT, SIGTERM, SIGHUP};
constexpr std::size_t kLongestPath = 4096;

/// Plain memory, because a signal handler may touch nothing else.
struct Slot {
  std::atomic<bool> used{false};
  char path[kLongestPath];
};
std::array<Slot, 16> slots;
static_assert(std::atomic<bool>::is_always_lock_free && std::atomic<int>::is_always_lock_free);

/// Any thread may get the signal, OpenMP's too, so holding is a flag and not a mask.
std::atomic<int> held{0};
std::atomic<int> waiting{0};

void remove_and_end(int signal) {
  if (held.load() > 0) {
    waiting.store(signal);
    return;
  }
  for (Slot& slot : slots)
    if (slot.used.load()) ::unlink(slot.path);
  // The progress bar stands without a newline.
  if (::isatty(STDERR_FILENO) == 1) (void)!::write(STDERR_FILENO, "\n", 1);
  struct sigaction plain {};
  plain.sa_handler = SIG_DFL;
  ::sigaction(signal, &plain, nullptr);
  ::raise(signal);  // delivered when this handler returns
}

sigset_t ending_signals() {
  sigset_t set;
  ::sigemptyset(&set);
  for (const int signal : kSignals) ::sigaddset(&set, signal);
  return set;
}

}  // namespace

void remove_temporaries_on_signals() {
  struct sigaction action {};
  action.sa_handler = &remove_and_end;
  action.sa_mask = ending_signals();
  for (const int signal : kSignals) {
    struct sigaction now {};
    ::sigaction(signal, nullptr, &now);
    if (now.sa_handler != SIG_IGN) ::sigaction(signal, &action, nullptr);  // nohup stays nohup
  }
}

Temporary::Temporary(const std::filesystem::path& path) : slot_(-1) {
  const std::string text = path.string();
  PANTHER_REQUIRE(text.size() < kLongestPath, "the path '", text, "' is too long");
  for (std::size_t i = 0; i < slots.size() && slot_ < 0; ++i) {
    if (slots[i].used.load()) continue;
    std::memcpy(slots[i].path, text.c_str(), text.size() + 1);
    slots[i].used.store(true);
    slot_ = static_cast<int>(i);
  }
  PANTHER_CHECK(slot_ >= 0, "more than ", slots.size(), " temporary files at a time");
}

Temporary::~Temporary() { slots[static_cast<std::size_t>(slot_)].used.store(false); }

SignalsHeld::SignalsHeld() { ++held; }

SignalsHeld::~SignalsHeld() {
  if (--held == 0 && waiting.load() != 0) ::raise(waiting.exchange(0));
}

}  // namespace panther::tools
