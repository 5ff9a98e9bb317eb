#include "launcher/status/status_command.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>
#include <thread>

#include "core/arguments.h"
#include "core/env.h"
#include "core/error.h"
#include "core/exit_code.h"
#include "launcher/status/run_view.h"

namespace panther::launcher {
namespace {

namespace fs = std::filesystem;

constexpr const char* kFile = "status.json";

double now() { return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count(); }

std::string read_text(const fs::path& path) {
  std::ifstream file(path);
  if (!file) fail(ErrorCode::Io, "cannot read '", path.string(), "'; check its permissions");
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

/// A run folder, or the newest run of a folder of runs.
fs::path find_run(const std::string& given) {
  const fs::path folder = given.empty() ? "runs" : given;
  PANTHER_REQUIRE(fs::is_directory(folder), "there is no folder '", folder.string(), "'; name a run folder, or the folder that holds runs (run.dir, \"runs\" by default)");
  if (fs::exists(folder / kFile)) return folder;
  fs::path newest;
  fs::file_time_type time;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder)) {
    std::error_code error;
    const fs::file_time_type written = fs::last_write_time(entry.path() / kFile, error);
    if (error || (!newest.empty() && written <= time)) continue;
    newest = entry.path();
    time = written;
  }
  PANTHER_REQUIRE(!newest.empty(), "'", folder.string(), "' is no run folder and holds none (no ", kFile, " in it or one level below); a run writes it when training begins");
  return newest;
}

Life life_of(const RunView& run) {
  char host[256] = {};
  ::gethostname(host, sizeof host - 1);
  if (run.host != host) return Life::elsewhere;
  return ::kill(static_cast<pid_t>(run.pid), 0) == 0 || errno == EPERM ? Life::alive : Life::gone;
}

/// What a run that failed said last.
std::string reason(const fs::path& folder, const RunView& run) {
  std::error_code error;
  if (!fs::exists(folder / "error.json", error)) return {};
  const auto object = nlohmann::json::parse(read_text(folder / "error.json"), nullptr, false);
  if (!object.is_object() || run.state != "running") return {};
  return concat(object.value("code", "Error"), ", rank ", object.value("rank", 0), ": ", object.value("message", ""));
}

StatusLook look_of_terminal() {
  StatusLook look;
  look.now = now();
  const bool terminal = ::isatty(STDOUT_FILENO) == 1;
  winsize size{};
  look.columns = terminal && ::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 120;
  look.colour = terminal && !env_value("NO_COLOR");
  for (const char* name : {"LC_ALL", "LC_CTYPE", "LANG"}) {
    const auto locale = env_value(name);
    if (!locale || locale->empty()) continue;
    look.utf8 = locale->find("UTF-8") != std::string::npos || locale->find("utf8") != std::string::npos;
    break;
  }
  return look;
}

std::string screen(const fs::path& folder) {
  const RunView run = parse_status(read_text(folder / kFile), (folder / kFile).string());
  const Life life = life_of(run);
  return status_text(run, folder.string(), life, life == Life::gone ? reason(folder, run) : "", look_of_terminal());
}

volatile std::sig_atomic_t interrupted = 0;
void interrupt(int) { interrupted = 1; }

/// Redraws in place until the run ends or somebody interrupts.
int watch(const fs::path& folder, double seconds) {
  std::signal(SIGINT, interrupt);
  std::signal(SIGTERM, interrupt);
  const bool terminal = ::isatty(STDOUT_FILENO) == 1;
  if (terminal) std::fputs("\033[?25l\033[2J", stdout);
  while (interrupted == 0) {
    std::string text = screen(folder);
    if (terminal) {
      // Each line is cleared behind its end and all below the last: nothing flickers.
      std::string lines = "\033[H";
      for (const char c : text) lines += c == '\n' ? std::string("\033[K\n") : std::string(1, c);
      text = lines + "\033[J";
    }
    std::fputs(text.c_str(), stdout);
    std::fflush(stdout);
    const RunView run = parse_status(read_text(folder / kFile), kFile);
    if (state_of(run, life_of(run), now()) != "running") break;
    const auto until = std::chrono::steady_clock::now() + std::chrono::duration<double>(seconds);
    while (interrupted == 0 && std::chrono::steady_clock::now() < until) std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  if (terminal) std::fputs("\033[?25h", stdout);
  return kExitDone;
}

}  // namespace

int status_command(const std::vector<std::string>& words) {
  const Arguments arguments("panther status [RUN] [options]",
                            {{"--watch", "", "redraw until the run ends"},
                             {"--every", "SECONDS", "how often (1)"},
                             {"--json", "", "the run's status.json, with `folder` and `now`: running, finished, stopped, died or silent"}},
                            words);
  if (arguments.wants_help()) {
    std::fputs(arguments.help().c_str(), stdout);
    return kExitDone;
  }
  PANTHER_REQUIRE(arguments.positional().size() <= 1, "one run at a time; got ", join(arguments.positional()));
  const fs::path folder = find_run(arguments.positional().empty() ? "" : arguments.positional().front());
  const double seconds = arguments.number("--every", 1);
  PANTHER_REQUIRE(seconds >= 0.1, "--every is ", seconds, " seconds; give 0.1 or more");
  if (arguments.flag("--watch")) return watch(folder, seconds);
  if (arguments.flag("--json")) {
    const std::string text = read_text(folder / kFile);
    const RunView run = parse_status(text, (folder / kFile).string());
    auto object = nlohmann::json::parse(text);
    object["folder"] = folder.string();
    object["now"] = state_of(run, life_of(run), now());
    std::printf("%s\n", object.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace).c_str());
    return kExitDone;
  }
  std::fputs(screen(folder).c_str(), stdout);
  return kExitDone;
}

}  // namespace panther::launcher
