#pragma once
// How a progress report looks. Pure.
#include <cstddef>
#include <string>
#include <string_view>

#include "runtime/export.h"
#include "runtime/observe/progress.h"

namespace panther::runtime {

struct ProgressLook {
  std::int64_t total_steps = 0;
  std::string unit = "tokens";
  double eta_seconds = -1;     ///< < 0: not known yet
  std::size_t columns = 80;    ///< of the terminal
  bool colour = false;
  bool utf8 = false;
};

/// "step 120/1500 (8 %)  loss 2.3140  lr 2.9e-03  grad 0.82  6.12 k tokens/s  163 ms/step  ETA 3 min 40 s".
PANTHER_RUNTIME_API std::string progress_line(const ProgressReport& report, const ProgressLook& look);
/// One line that fits the terminal: percentage, bar, step and as many facts as there is room for.
PANTHER_RUNTIME_API std::string progress_bar(const ProgressReport& report, const ProgressLook& look);

}  // namespace panther::runtime
