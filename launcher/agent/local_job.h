#pragma once
// Ranks of one job on this machine: started, watched, stopped.
#include <chrono>
#include <filesystem>
#include <string>
#include <vector>

namespace panther::launcher {

struct LocalJobOptions {
  int ranks = 1;
  std::filesystem::path worker;
  std::vector<std::string> arguments;                  ///< the same for every rank
  std::chrono::milliseconds grace{5000};               ///< between SIGTERM and SIGKILL when a rank failed
  std::chrono::milliseconds others_may_explain{300};   ///< before SIGTERM, when the first failure only tells about a lost peer
};

/// Serves the store, starts the ranks, shows and stores what they print, and returns the job's exit code when all have ended:
/// that of the first own failure, whose rank's last lines are printed. SIGINT, SIGTERM and SIGHUP reach the ranks once as SIGTERM (they
/// finish the step, save and exit 75), a second SIGINT kills; SIGUSR2 is passed on. Call from the main thread. Throws Io, Unsupported.
int run_local_job(const LocalJobOptions& options);

}  // namespace panther::launcher
