#include "launcher/status/find_run.h"

#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <nlohmann/json.hpp>
#include <optional>

#include "core/atomic_file.h"
#include "core/config_peek.h"
#include "core/error.h"
#include "launcher/status/process_life.h"

namespace panther::launcher {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr const char* kStatus = "status.json";
constexpr const char* kMetrics = "metrics.jsonl";
constexpr std::streamoff kTailBytes = 256 * 1024;

bool there_is(const fs::path& path) {
  std::error_code error;
  return fs::exists(path, error);
}

/// Seconds since 1970; 0 where there is no such file.
double written(const fs::path& path) {
  struct stat facts {};
  if (::stat(path.c_str(), &facts) != 0) return 0;
  return static_cast<double>(facts.st_mtim.tv_sec) + 1e-9 * static_cast<double>(facts.st_mtim.tv_nsec);
}

/// When the run was heard of last; 0 for a folder that is none.
double heard_of(const fs::path& folder) {
  return std::max(
      {written(folder / kStatus), written(folder / kMetrics), there_is(folder / "config.toml") ? written(folder / "env.json") : 0.0});
}

json env_of(const fs::path& folder) {
  std::error_code error;
  if (!fs::is_regular_file(folder / "env.json", error)) return json::object();
  json env = json::parse(read_file(folder / "env.json"), nullptr, false);
  return env.is_object() ? env : json::object();
}

bool started_from(const fs::path& run, const fs::path& config) {
  const fs::path file = env_of(run).value("config_file", "");
  std::error_code error;
  return file.lexically_normal() == config.lexically_normal() || (!file.empty() && fs::equivalent(file, config, error) && !error);
}

/// The newest run in `folder`, of those started from `config` where that is not empty.
std::optional<fs::path> newest_run(const fs::path& folder, const fs::path& config) {
  std::error_code error;
  fs::directory_iterator entries(folder, error);
  if (error) fail(ErrorCode::Io, "cannot list the folder '", folder.string(), "': ", error.message(), "; check its permissions");
  std::optional<fs::path> newest;
  double time = 0;
  for (const fs::directory_entry& entry : entries) {
    const double heard = heard_of(entry.path());
    if (heard <= time || (!config.empty() && !started_from(entry.path(), config))) continue;
    newest = entry.path();
    time = heard;
  }
  return newest;
}

fs::path run_of_config(const fs::path& config) {
  const std::string text = read_file(config);
  const fs::path dir = peek_config(text, config.string(), "run", "dir").value_or("runs");
  const std::string name = peek_config(text, config.string(), "run", "name").value_or("");
  if (!name.empty()) {
    PANTHER_REQUIRE(heard_of(dir / name) > 0, "'", config.string(), "' names the run '", (dir / name).string(),
                    "', and there is none yet; start it with panther train ", config.string(), ", or name a run folder");
    return dir / name;
  }
  const auto newest = there_is(dir) ? newest_run(dir, config) : std::nullopt;
  PANTHER_REQUIRE(newest, "no run in '", dir.string(), "' was started from '", config.string(), "'; start one with panther train ",
                  config.string(), ", or name its run folder (it was another one where run.dir was set on the command line)");
  return *newest;
}

/// The end of a file, and whether something stands before it.
std::pair<std::string, bool> tail_of(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) fail(ErrorCode::Io, "cannot read '", path.string(), "': ", std::strerror(errno), "; check its permissions");
  file.seekg(0, std::ios::end);
  const std::streamoff size = file.tellg();
  const std::streamoff begin = std::max<std::streamoff>(0, size - kTailBytes);
  file.seekg(begin);
  std::string text(static_cast<std::size_t>(std::max<std::streamoff>(0, size - begin)), '\0');
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<std::size_t>(file.gcount()));
  return {std::move(text), begin > 0};
}

FolderFacts facts_of(const fs::path& folder) {
  FolderFacts facts;
  const json env = env_of(folder);
  facts.host = env.value("host", "");
  facts.backend = env.value("backend", "");
  facts.ranks = env.value("world_size", std::int64_t{0});
  if (there_is(folder / "config.toml")) {
    const std::string text = read_file(folder / "config.toml");
    const auto steps = peek_config(text, "config.toml", "train", "steps");
    facts.steps = steps ? std::strtoll(steps->c_str(), nullptr, 10) : 0;
    facts.exchange = peek_config(text, "config.toml", "comm", "exchange").value_or("");
  }
  std::error_code error;
  const fs::path latest = fs::read_symlink(folder / "checkpoints" / "latest", error);
  if (!error && latest.filename().string().starts_with("step_")) {
    facts.checkpoint_step = std::strtoll(latest.filename().c_str() + 5, nullptr, 10);
    facts.checkpoint_time = written(folder / "checkpoints" / latest / "DONE");
  }
  return facts;
}

/// What a run that failed said last; what an earlier attempt left does not count.
std::string reason(const fs::path& folder, const RunView& run) {
  if (run.state != "running" || written(folder / "error.json") < run.started) return {};
  const json object = json::parse(read_file(folder / "error.json"), nullptr, false);
  if (!object.is_object()) return {};
  return concat(object.value("code", "Error"), ", rank ", object.value("rank", 0), ": ", object.value("message", ""));
}

std::string logs_of(const fs::path& folder) {
  fs::path newest;
  for (int attempt = 0; there_is(folder / "logs" / concat("attempt_", attempt)); ++attempt)
    newest = folder / "logs" / concat("attempt_", attempt);
  return newest.string();
}

}  // namespace

fs::path find_run(const std::string& given) {
  const fs::path place = given.empty() ? "runs" : given;
  std::error_code error;
  const fs::file_status found = fs::status(place, error);
  if (fs::is_regular_file(found) && place.extension() == ".toml") return run_of_config(place);
  if (error && fs::exists(found))
    fail(ErrorCode::Io, "cannot look into '", place.string(), "': ", error.message(), "; check its permissions");
  PANTHER_REQUIRE(fs::is_directory(found), fs::exists(found) ? "no run: '" : "there is no folder '", place.string(),
                  fs::exists(found) ? "' is a file" : "'",
                  "; name a run folder, the folder that holds runs (run.dir, \"runs\" by default), or the configuration (.toml) of a run");
  if (heard_of(place) > 0) return place;
  const auto newest = newest_run(place, {});
  PANTHER_REQUIRE(newest, "'", place.string(), "' is no run folder and holds none (no ", kStatus, " or ", kMetrics,
                  " in it or one level below); name a run folder, or start a run: it writes them when training begins");
  return *newest;
}

FoundRun read_run(const fs::path& folder) {
  FoundRun run;
  run.beside.folder = folder.string();
  run.beside.logs = logs_of(folder);
  run.has_status = there_is(folder / kStatus);
  const bool has_metrics = there_is(folder / kMetrics);
  PANTHER_REQUIRE(run.has_status || has_metrics, "the run in '", folder.string(), "' has written neither ", kStatus, " nor ", kMetrics,
                  " yet: it is still starting, or ended before training began; look at ",
                  run.beside.logs.empty() ? "its console" : run.beside.logs);
  MetricsLines lines;
  if (has_metrics) {
    const auto [text, cut] = tail_of(folder / kMetrics);
    lines = read_metrics(text, cut);
  }
  if (!run.has_status) {
    PANTHER_REQUIRE(lines.step >= 0, "'", (folder / kMetrics).string(),
                    "' holds no record yet; the run is still starting, or ended before its first one");
    run.view = view_of_metrics(lines, facts_of(folder));
    return run;
  }
  run.view = parse_status(read_file(folder / kStatus), (folder / kStatus).string());
  run.view.losses = std::move(lines.losses);
  run.beside.life = life_of(run.view);
  if (run.beside.life == Life::gone) run.beside.why = reason(folder, run.view);
  return run;
}

}  // namespace panther::launcher
