#pragma once
// What people see while training runs: a bar with ETA on a terminal, periodic lines otherwise, and the closing table.
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "runtime/export.h"

namespace panther::runtime {

struct ProgressReport {
  std::int64_t step = 0;
  double loss = 0;
  double lr = 0;
  double gradient_norm = 0;
  double tokens_per_second = 0;
  double step_seconds = 0;
  double mfu_percent = 0;          ///< <= 0: not known
  std::int64_t bytes_sent = 0;     ///< per step
};

enum class ProgressStyle { automatic, bar, lines };

/// Writes to stdout. One thread.
class PANTHER_RUNTIME_API Progress {
 public:
  /// `first_step` steps are done already; `unit` is "tokens" or "samples". Automatic: a tty on stdout gets the bar (without colour when
  /// NO_COLOR is set; TERM=dumb gets lines), others a line every five seconds.
  Progress(std::int64_t first_step, std::int64_t total_steps, std::string unit, ProgressStyle style = ProgressStyle::automatic);
  ~Progress();
  /// `report.step` steps are done now.
  void step(const ProgressReport& report);
  /// Prints a line above the bar ("step 500: validation loss 1.83").
  void note(const std::string& line);
  /// Removes the bar and prints the last report as a line. The destructor only removes the bar.
  void finish();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// Peak resident memory of this process and peak device memory, bytes.
struct MemoryPeak {
  std::int64_t host_bytes = 0;
  std::int64_t device_bytes = 0;
};
PANTHER_RUNTIME_API MemoryPeak memory_peak();

}  // namespace panther::runtime
