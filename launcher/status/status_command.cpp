#include "launcher/status/status_command.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <charconv>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <thread>

#include "core/arguments.h"
#include "core/atomic_file.h"
#include "core/clock.h"
#include "core/env.h"
#include "core/error.h"
#include "core/exit_code.h"
#include "launcher/status/find_run.h"

namespace panther::launcher {
namespace {

namespace fs = std::filesystem;

bool is_terminal() { return ::isatty(STDOUT_FILENO) == 1 && env_value("TERM").value_or("dumb") != "dumb"; }

StatusLook look_of_terminal(bool all_buckets) {
  StatusLook look;
  look.now = unix_seconds();
  look.all_buckets = all_buckets;
  const int told = std::atoi(env_value("COLUMNS").value_or("").c_str());
  look.columns = told > 0 ? static_cast<std::size_t>(told) : 120;
  winsize size{};
  if (::isatty(STDOUT_FILENO) == 1 && ::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) {
    look.columns = size.ws_col;
    look.rows = size.ws_row > 1 ? size.ws_row - 1u : 0;  // the prompt, or the cursor, stands on the last one
  }
  look.columns = std::max<std::size_t>(look.columns, 24);
  look.colour = is_terminal() && env_value("NO_COLOR").value_or("").empty();
  for (const char* name : {"LC_ALL", "LC_CTYPE", "LANG"}) {
    const auto locale = env_value(name);
    if (!locale || locale->empty()) continue;
    look.utf8 = locale->find("UTF-8") != std::string::npos || locale->find("utf8") != std::string::npos;
    break;
  }
  return look;
}

volatile std::sig_atomic_t interrupted = 0;
void interrupt(int) { interrupted = 1; }

/// Hides the cursor; shows it again whatever ends the scope.
class HiddenCursor {
 public:
  explicit HiddenCursor(bool terminal) : terminal_(terminal) { put("\033[?25l\033[2J"); }
  ~HiddenCursor() { put("\033[?25h"); }
  HiddenCursor(const HiddenCursor&) = delete;
  HiddenCursor& operator=(const HiddenCursor&) = delete;

 private:
  void put(const char* text) const {
    if (!terminal_) return;
    std::fputs(text, stdout);
    std::fflush(stdout);
  }
  bool terminal_;
};

/// As one write over what is there: each line is cleared behind its end and all below the last, so that nothing flickers. What the screen
/// has no row for would scroll it, and is left out.
std::string redrawn(const std::string& text, std::size_t rows) {
  std::string lines = "\033[H";
  std::size_t row = 0;
  for (const char c : text) {
    if (c == '\n') {
      lines += "\033[K";
      if (rows > 0 && ++row == rows) break;
    }
    lines += c;
  }
  return lines + "\033[J";
}

/// Until the run ends or somebody interrupts.
int watch(const fs::path& folder, double seconds, bool all_buckets) {
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) std::signal(signal, interrupt);
  const bool terminal = is_terminal();
  const HiddenCursor hidden(terminal);
  while (interrupted == 0) {
    const FoundRun run = read_run(folder);
    const StatusLook look = look_of_terminal(all_buckets);
    const std::string text = status_text(run.view, run.beside, look);
    std::fputs((terminal ? redrawn(text, look.rows) : text + "\n").c_str(), stdout);
    std::fflush(stdout);
    const std::string state = state_of(run.view, run.beside.life, look.now);
    if (state != "running" && state != "silent") {
      if (terminal) std::fputs("\n", stdout);
      break;
    }
    const auto until = std::chrono::steady_clock::now() + std::chrono::duration<double>(seconds);
    while (interrupted == 0 && std::chrono::steady_clock::now() < until) std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  if (terminal && interrupted != 0) std::fputs("\n", stdout);
  return kExitDone;
}

int print_json(const fs::path& folder) {
  const FoundRun run = read_run(folder);
  const std::string state = state_of(run.view, run.beside.life, unix_seconds());
  if (!run.has_status) {
    std::printf("%s\n", view_json(run.view, folder.string(), state).c_str());
    return kExitDone;
  }
  auto object = nlohmann::json::parse(read_file(folder / "status.json"));
  object["folder"] = folder.string();
  object["now"] = state;
  std::printf("%s\n", object.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace).c_str());
  return kExitDone;
}

/// `--watch 5` is `--watch --every 5`.
std::vector<std::string> with_interval(const std::vector<std::string>& words) {
  std::vector<std::string> result;
  for (std::size_t i = 0; i < words.size(); ++i) {
    result.push_back(words[i]);
    if (words[i] != "--watch" || i + 1 == words.size()) continue;
    const std::string& next = words[i + 1];
    double seconds = 0;
    const auto [end, error] = std::from_chars(next.data(), next.data() + next.size(), seconds);
    if (error == std::errc() && end == next.data() + next.size() && !fs::exists(next)) result.push_back("--every");
  }
  return result;
}

}  // namespace

int status_command(const std::vector<std::string>& words) {
  const Arguments arguments(
      "panther status [RUN] [options]\n"
      "  RUN: a run folder, a folder of runs (its newest), a configuration (the newest run started from it); runs/ if left out",
      {{"--watch", "", "redraw until the run ends; --watch 5: every 5 seconds"},
       {"--every", "SECONDS", "how often (1)"},
       {"--buckets", "", "every bucket of the exchange and every reason of its plan, not only what fits"},
       {"--json", "", "the run's status.json, with `folder` and `now`: running, finished, stopped, died, silent or unknown"}},
      with_interval(words));
  if (arguments.wants_help()) {
    std::fputs(arguments.help().c_str(), stdout);
    return kExitDone;
  }
  PANTHER_REQUIRE(arguments.positional().size() <= 1, "one run at a time; got ", join(arguments.positional()));
  PANTHER_REQUIRE(!arguments.flag("--watch") || !arguments.flag("--json"),
                  "--json gives one object and ends; leave --watch out, and call it as often as you like");
  const double seconds = arguments.number("--every", 1);
  PANTHER_REQUIRE(seconds >= 0.1, "--every is ", seconds, " seconds; give 0.1 or more");
  const fs::path folder = find_run(arguments.positional().empty() ? "" : arguments.positional().front());
  if (arguments.flag("--watch")) return watch(folder, seconds, arguments.flag("--buckets"));
  if (arguments.flag("--json")) return print_json(folder);
  const FoundRun run = read_run(folder);
  std::fputs(status_text(run.view, run.beside, look_of_terminal(arguments.flag("--buckets"))).c_str(), stdout);
  return kExitDone;
}

}  // namespace panther::launcher
