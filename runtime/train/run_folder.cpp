#include "runtime/train/run_folder.h"

#include <algorithm>
#include <ctime>
#include <optional>

#include "core/atomic_file.h"
#include "core/env.h"
#include "core/error.h"
#include "core/json_text.h"
#include "runtime/train/build_facts.h"

namespace panther::runtime {

namespace fs = std::filesystem;

namespace {

std::string stem_of(const LoadedConfig& loaded) {
  // examples/01_sketched_gpt/train.toml says more by its folder than by "train".
  const std::string stem = loaded.file.stem().string();
  const std::string folder = fs::absolute(loaded.file).parent_path().filename().string();
  return stem == "train" || stem == "config" ? folder : stem;
}

std::string time_stamp() {
  if (const auto given = env_value("PANTHER_RUN_ID")) return *given;
  const std::time_t now = std::time(nullptr);
  std::tm parts{};
  localtime_r(&now, &parts);
  char text[32];
  std::strftime(text, sizeof text, "%Y%m%d-%H%M%S", &parts);
  return text;
}

std::optional<fs::path> newest_run_of(const fs::path& dir, const std::string& stem) {
  std::error_code ignored;
  std::vector<fs::path> found;
  for (const auto& entry : fs::directory_iterator(dir, ignored)) {
    const std::string name = entry.path().filename().string();
    if (name.starts_with(stem + "-") && fs::is_directory(entry.path() / "checkpoints", ignored)) found.push_back(entry.path());
  }
  if (found.empty()) return std::nullopt;
  return *std::max_element(found.begin(), found.end());
}

fs::path decide(const LoadedConfig& loaded, bool resume) {
  const RunSection& run = loaded.config.run;
  if (!run.name.empty()) return fs::path(run.dir) / run.name;
  const std::string stem = stem_of(loaded);
  if (resume) {
    if (const auto newest = newest_run_of(run.dir, stem)) return *newest;
  }
  return fs::path(run.dir) / (stem + "-" + time_stamp());
}

std::string environment_json(const World& world, const LoadedConfig& loaded) {
  std::string json = "{\n";
  const auto add = [&](std::string_view key, const std::string& value) { json += concat("  ", json_quote(key), ": ", json_quote(value), ",\n"); };
  for (const auto& [key, value] : build_facts()) add(key, value);
  add("host", host_name());
  add("backend", std::string(world.collective->backend()));
  add("launched_by", world.facts.convention);
  add("config_file", loaded.file.string());
  for (const char* name : {"CUDA_VISIBLE_DEVICES", "OMP_NUM_THREADS", "NCCL_SOCKET_IFNAME", "GLOO_SOCKET_IFNAME", "SLURM_JOB_ID"}) {
    if (const auto value = env_value(name)) add(name, *value);
  }
  return json + concat("  \"world_size\": ", world.size(), "\n}\n");
}

}  // namespace

fs::path RunFolder::trace(int rank) const { return path / "traces" / concat("rank_", rank, ".json"); }

RunFolder choose_run_folder(World& world, const LoadedConfig& loaded, bool resume) {
  const std::string chosen = world.leader() ? decide(loaded, resume).string() : std::string();
  return {broadcast_text(world, chosen)};
}

void prepare_run_folder(const RunFolder& folder, const World& world, const LoadedConfig& loaded) {
  std::error_code failed;
  fs::create_directories(folder.checkpoints(), failed);
  if (!failed) fs::create_directories(folder.trace(0).parent_path(), failed);
  if (failed) {
    fail(ErrorCode::Io, "cannot create the run folder ", folder.path, ": ", failed.message(), "; choose another place with ",
         loaded.origin.at("run.dir"), " (--set run.dir=FOLDER)");
  }
  fs::remove(folder.error(), failed);
  RunConfig config = loaded.config;
  write_file_atomic(folder.path / "config.toml", config_to_toml(config.visitor()));
  write_file_atomic(folder.path / "env.json", environment_json(world, loaded));
}

void note_error(const RunFolder& folder, int rank, const Error& error) noexcept {
  try {
    const bool consequence = error.code() == ErrorCode::PeerLost || error.code() == ErrorCode::Timeout;
    if (consequence && fs::exists(folder.error())) return;
    write_file_atomic(folder.error(), concat("{\"code\": ", json_quote(error_code_name(error.code())), ", \"rank\": ", rank, ", \"message\": ", json_quote(error.message()),
                                             ", \"context\": ", json_quote(error.context()), "}\n"));
  } catch (const std::exception&) {
    // The error itself is reported by the main; a folder that cannot be written must not hide it.
  }
}

void announce_run_folder(const RunFolder& folder) {
  if (const auto file = env_value("PANTHER_RUN_FOLDER_FILE")) write_file_atomic(*file, fs::absolute(folder.path).string());
}

}  // namespace panther::runtime
