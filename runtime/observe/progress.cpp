#include "runtime/observe/progress.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>

#include "core/env.h"
#include "runtime/observe/progress_text.h"

namespace panther::runtime {
namespace {

using SteadyClock = std::chrono::steady_clock;
constexpr double kLinePeriodSeconds = 5.0;
constexpr double kRedrawSeconds = 0.1;
constexpr const char* kClearLine = "\r\x1b[2K";

/// Standard output is a terminal, or the launcher's pipe to one (it passes rank 0's bytes on as they are).
bool reaches_a_terminal() { return ::isatty(STDOUT_FILENO) == 1 || env_value("PANTHER_CONSOLE_TTY") == "1"; }

bool terminal_takes_a_bar() { return reaches_a_terminal() && env_value("TERM").value_or("dumb") != "dumb"; }

bool speaks_utf8() {
  for (const char* name : {"LC_ALL", "LC_CTYPE", "LANG"}) {
    const std::string locale = env_value(name).value_or("");
    if (!locale.empty()) return locale.find("UTF-8") != std::string::npos || locale.find("utf8") != std::string::npos;
  }
  return false;
}

std::size_t terminal_columns() {
  winsize size{};
  if (::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) return size.ws_col;
  const int told = std::atoi(env_value("COLUMNS").value_or("").c_str());
  return told > 0 ? static_cast<std::size_t>(told) : 80;
}

double seconds_since(SteadyClock::time_point then) { return std::chrono::duration<double>(SteadyClock::now() - then).count(); }

void put(const std::string& text) {
  std::fwrite(text.data(), 1, text.size(), stdout);
  std::fflush(stdout);
}

}  // namespace

struct Progress::Impl {
  bool bar = false;
  bool drawn = false;            ///< a bar stands on the last line
  ProgressLook look;
  ProgressReport last;
  bool reported = false;
  bool last_printed = false;     ///< as a line
  std::int64_t timed_from = 0;   ///< steps done at timed_since
  SteadyClock::time_point timed_since, shown_at;

  /// By the mean time per step since the first report, pauses for validation and checkpoints included.
  double eta() const {
    const auto left = static_cast<double>(look.total_steps - last.step);
    const auto timed = static_cast<double>(last.step - timed_from);
    return left * (timed > 0 ? seconds_since(timed_since) / timed : last.step_seconds);
  }
  void clear() {
    if (drawn) put(kClearLine);
    drawn = false;
  }
  void draw() {
    look.columns = terminal_columns();
    put(kClearLine + progress_bar(last, look));
    drawn = true;
  }
  void print_line() {
    put(progress_line(last, look) + "\n");
    last_printed = true;
  }
};

Progress::Progress(std::int64_t first_step, std::int64_t total_steps, std::string unit, ProgressStyle style) : impl_(std::make_unique<Impl>()) {
  impl_->bar = style == ProgressStyle::bar || (style == ProgressStyle::automatic && terminal_takes_a_bar());
  impl_->look.total_steps = total_steps;
  impl_->look.unit = std::move(unit);
  impl_->look.colour = env_value("NO_COLOR").value_or("").empty();
  impl_->look.utf8 = speaks_utf8();
  impl_->last.step = first_step;
}

Progress::~Progress() { impl_->clear(); }

void Progress::step(const ProgressReport& report) {
  Impl& p = *impl_;
  const bool first = !p.reported;
  p.last = report;
  p.reported = true;
  p.last_printed = false;
  if (first) {
    p.timed_from = report.step;
    p.timed_since = SteadyClock::now();
  }
  const bool at_end = report.step >= p.look.total_steps;
  if (!first && !at_end && seconds_since(p.shown_at) < (p.bar ? kRedrawSeconds : kLinePeriodSeconds)) return;
  p.look.eta_seconds = p.eta();
  p.shown_at = SteadyClock::now();
  p.bar ? p.draw() : p.print_line();
}

void Progress::note(const std::string& line) {
  const bool redraw = impl_->drawn;
  impl_->clear();
  put(line + "\n");
  if (redraw) impl_->draw();
}

void Progress::finish() {
  impl_->clear();
  if (impl_->reported && !impl_->last_printed) impl_->print_line();
}

}  // namespace panther::runtime
