#pragma once
// All output of all ranks, in files: logs/attempt_<k>/rank_<r>.{out,err} of the run folder, once that is known.
#include <filesystem>
#include <string_view>
#include <vector>

#include "launcher/agent/console.h"
#include "launcher/agent/process.h"

namespace panther::launcher {

/// Until the worker has told its run folder, files of a temporary folder hold the output; settle() moves them. A file that cannot be
/// written is given up with one warning: logs are no reason to stop training. One thread.
class LogStore {
 public:
  /// `spool` exists, is writable, and is removed by the caller.
  LogStore(std::filesystem::path spool, int ranks);

  void append(int rank, Channel channel, std::string_view bytes);
  /// Moves what is there to the first free logs/attempt_<k> of `run_folder` and goes on there. Once.
  void settle(const std::filesystem::path& run_folder);
  /// Where the files are now.
  const std::filesystem::path& folder() const { return folder_; }
  bool settled() const { return settled_; }

 private:
  std::filesystem::path folder_;
  std::vector<Descriptor> files_;  ///< out, err of rank 0, of rank 1, ...
  bool settled_ = false;
};

}  // namespace panther::launcher
