#pragma once
// The folder of a run and what stands in it from the start.
#include <filesystem>
#include <string>

#include "core/error.h"
#include "runtime/export.h"
#include "runtime/train/run_config.h"
#include "runtime/train/world.h"

namespace panther::runtime {

struct RunFolder {
  std::filesystem::path path;
  std::filesystem::path checkpoints() const { return path / "checkpoints"; }
  std::filesystem::path trace(int rank) const;
  std::filesystem::path error() const { return path / "error.json"; }
};

/// run.dir/run.name. Without a name: with `resume`, the newest run of this configuration file when there is one; else stem and time.
/// Decided by rank 0 and the same on all ranks. Does not create anything.
PANTHER_RUNTIME_API RunFolder choose_run_folder(World& world, const LoadedConfig& loaded, bool resume);
/// Creates the folder with config.toml and env.json (rank 0); what an earlier attempt left in error.json goes. Throws Io naming path and
/// remedy when it is not writable.
PANTHER_RUNTIME_API void prepare_run_folder(const RunFolder& folder, const World& world, const LoadedConfig& loaded);
/// Tells the launcher where the run's files are (PANTHER_RUN_FOLDER_FILE), so that it can store the logs there.
PANTHER_RUNTIME_API void announce_run_folder(const RunFolder& folder);
/// Writes down in error.json why `rank` ends. A rank that lost its peers knows less than the peer that ended first: it leaves what stands there.
PANTHER_RUNTIME_API void note_error(const RunFolder& folder, int rank, const Error& error) noexcept;

}  // namespace panther::runtime
