#pragma once
// What the end of a metrics.jsonl says. Pure.
#include <map>
#include <string>
#include <string_view>

#include "launcher/status/run_view.h"

namespace panther::launcher {

struct MetricsLines {
  std::int64_t step = -1;                ///< of the last line; -1: there is none
  double time = 0;                       ///< of the last line, seconds since 1970
  std::map<std::string, double> latest;  ///< the last value of every tag; nan where it was not finite
  Curve losses, validation;
  std::int64_t unreadable = 0;  ///< whole lines that are no record
};

/// `text` is a file from its beginning, or (`cut`) from anywhere: then what stands before the first line's end is left out. So is a last
/// line that is half written. Where steps go back, as after a resume, what was there before is replaced.
MetricsLines read_metrics(std::string_view text, bool cut);

/// What other files of the folder say of the run.
struct FolderFacts {
  std::string host, backend, exchange;
  std::int64_t ranks = 0, steps = 0;
  std::int64_t checkpoint_step = -1;
  double checkpoint_time = 0;
};

/// The view of a run without a status.json; its state is "unknown".
RunView view_of_metrics(const MetricsLines& lines, const FolderFacts& facts);

}  // namespace panther::launcher
