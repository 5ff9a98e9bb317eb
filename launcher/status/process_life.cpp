#include "launcher/status/process_life.h"

#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <fstream>
#include <sstream>
#include <string>

#include "core/clock.h"
#include "core/env.h"
#include "core/text.h"

namespace panther::launcher {
namespace {

/// Clocks of boot and of the calendar are read one after the other, and ticks are hundredths.
constexpr double kClockSlackSeconds = 2;

std::string first_line(const std::string& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

double boot_time() {
  double up = 0;
  std::istringstream(first_line("/proc/uptime")) >> up;
  return unix_seconds() - up;
}

}  // namespace

std::optional<ProcessStat> parse_process_stat(std::string_view text) {
  // The name stands in parentheses and may hold anything, so fields are counted from the last one: 3 is the state, 22 the start.
  const std::size_t name_end = text.rfind(')');
  if (name_end == text.npos) return std::nullopt;
  std::istringstream fields{std::string(text.substr(name_end + 1))};
  ProcessStat stat;
  if (!(fields >> stat.state)) return std::nullopt;
  std::string skipped;
  for (int field = 4; field < 22; ++field) fields >> skipped;
  if (!(fields >> stat.start_ticks)) return std::nullopt;
  return stat;
}

Life life_of(const RunView& run) {
  if (run.host != host_name()) return Life::elsewhere;
  if (run.pid <= 0 || (::kill(static_cast<pid_t>(run.pid), 0) != 0 && errno == ESRCH)) return Life::gone;
  const auto stat = parse_process_stat(first_line(concat("/proc/", run.pid, "/stat")));
  if (!stat) return Life::alive;
  if (stat->state == 'Z' || stat->state == 'X') return Life::gone;
  const double began = boot_time() + static_cast<double>(stat->start_ticks) / static_cast<double>(::sysconf(_SC_CLK_TCK));
  return began > run.updated + kClockSlackSeconds ? Life::gone : Life::alive;
}

}  // namespace panther::launcher
