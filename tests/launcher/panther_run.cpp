#include "tests/launcher/panther_run.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <fstream>

#include "launcher/agent/rank_environment.h"

namespace panther::launcher::testing {

using std::chrono::steady_clock;

namespace {

/// The test's own environment without what would say that it is a rank already.
std::vector<std::string> clean_environment(std::map<std::string, std::string> variables) {
  std::vector<std::string> inherited;
  for (char** each = environ; *each != nullptr; ++each) {
    const std::string text = *each;
    const bool of_a_rank = text.starts_with("PANTHER_") || text.starts_with("OMPI_") || text.starts_with("PMI") || text.starts_with("SLURM_") ||
                           text.starts_with("OMP_NUM_THREADS=") || text.starts_with("MASTER_") || text.starts_with("RANK=") ||
                           text.starts_with("WORLD_SIZE=") || text.starts_with("LOCAL_") || text.starts_with("COLUMNS=");
    if (!of_a_rank) inherited.push_back(text);
  }
  variables.try_emplace("PANTHER_WORKER", PANTHER_TEST_FAKE_WORKER);
  std::vector<std::string> all = with_variables(inherited, variables);
  std::erase_if(all, [](const std::string& text) { return text.ends_with('='); });
  return all;
}

}  // namespace

PantherRun::PantherRun(const Words& words, const std::map<std::string, std::string>& variables)
    : process_(Process::spawn(PANTHER_TEST_PROGRAM, words, clean_environment(variables))), began_(steady_clock::now()) {}

PantherRun::~PantherRun() {
  if (process_.end_fd() < 0) return;
  process_.signal_group(SIGKILL);
  for (int i = 0; i < 1000 && !process_.reap(); ++i) ::usleep(1000);
}

bool PantherRun::read_some() {
  pollfd polled[]{{process_.out().get(), POLLIN, 0}, {process_.err().get(), POLLIN, 0}, {process_.end_fd(), POLLIN, 0}};
  ::poll(polled, 3, 100);
  bool open = false;
  const auto take = [&](Descriptor& stream, std::string& into) {
    if (stream.get() < 0) return;
    char buffer[65536];
    const ssize_t count = ::read(stream.get(), buffer, sizeof buffer);
    if (count > 0) into.append(buffer, static_cast<std::size_t>(count));
    if (count == 0) stream.reset();
    open |= count != 0;
  };
  take(process_.out(), result_.out);
  take(process_.err(), result_.err);
  return open;
}

bool PantherRun::wait_for(const std::string& text) {
  const auto deadline = steady_clock::now() + std::chrono::seconds(20);
  while (result_.out.find(text) == std::string::npos)
    if (!read_some() || steady_clock::now() > deadline) return result_.out.find(text) != std::string::npos;
  return true;
}

void PantherRun::signal(int signal) const { ::kill(process_.pid(), signal); }

Finished PantherRun::finish() {
  const auto deadline = steady_clock::now() + std::chrono::seconds(30);
  while (read_some()) {
    if (steady_clock::now() < deadline) continue;
    ADD_FAILURE() << "panther hangs; so far: " << result_.out << result_.err;
    process_.signal_group(SIGKILL);
    break;
  }
  std::optional<ExitStatus> status;
  while (!(status = process_.reap())) ::usleep(500);
  result_.exit_code = status->signal != 0 ? 128 + status->signal : status->code;
  result_.took = std::chrono::duration_cast<std::chrono::milliseconds>(steady_clock::now() - began_);
  return result_;
}

Finished run_panther(const Words& words, const std::map<std::string, std::string>& variables) { return PantherRun(words, variables).finish(); }

bool is_alive(pid_t pid) {
  // A zombie whose parent has not collected it yet counts as dead.
  std::ifstream stat("/proc/" + std::to_string(pid) + "/stat");
  std::string text;
  std::getline(stat, text);
  return !text.empty() && text[text.rfind(')') + 2] != 'Z';
}

}  // namespace panther::launcher::testing
