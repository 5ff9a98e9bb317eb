#pragma once
// From a word of a command line to a run folder.
#include <filesystem>
#include <string>

#include "launcher/status/metrics_lines.h"
#include "launcher/status/run_view.h"

namespace panther::launcher {

/// `given`: a run folder; a folder of runs (the newest is taken); a configuration (.toml: the run it names, or the newest that was started
/// from it in its run.dir); empty: ./runs. Throws InvalidArgument when there is no run, Io when a folder or file cannot be read.
std::filesystem::path find_run(const std::string& given);

/// A run and what stands beside it in its folder.
struct FoundRun {
  RunView view;
  Beside beside;
  bool has_status = false;  ///< false: put together from metrics.jsonl
};

/// Reads status.json and the last 256 KiB of metrics.jsonl. Throws like find_run, and Corrupt or Unsupported like parse_status.
FoundRun read_run(const std::filesystem::path& folder);

}  // namespace panther::launcher
