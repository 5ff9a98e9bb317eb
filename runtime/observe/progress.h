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

class PANTHER_RUNTIME_API Progress {
 public:
  /// `unit` is "tokens" or "samples". A tty on stdout gets the bar (unless NO_COLOR / dumb terminal), others a line every few seconds.
  Progress(std::int64_t first_step, std::int64_t total_steps, std::string unit);
  ~Progress();
  void step(const ProgressReport& report);
  /// Prints a line above the bar ("step 500: validation loss 1.83").
  void note(const std::string& line);
  void finish();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// A two-column table with a title, aligned for a terminal.
PANTHER_RUNTIME_API std::string format_table(const std::string& title, const std::vector<std::pair<std::string, std::string>>& rows);
/// Columns with a header, right-aligned where all cells are numbers.
PANTHER_RUNTIME_API std::string format_columns(const std::vector<std::string>& header, const std::vector<std::vector<std::string>>& rows);

/// Peak resident memory of this process and peak device memory, bytes.
struct MemoryPeak {
  std::int64_t host_bytes = 0;
  std::int64_t device_bytes = 0;
};
PANTHER_RUNTIME_API MemoryPeak memory_peak();

}  // namespace panther::runtime
