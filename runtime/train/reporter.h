#pragma once
// What a run shows while it trains, on rank 0: metrics, the bar, status.json.
#include <filesystem>
#include <optional>

#include "runtime/observe/metrics.h"
#include "runtime/observe/progress.h"
#include "runtime/observe/run_status.h"
#include "runtime/train/session.h"
#include "runtime/train/step.h"

namespace panther::runtime {

/// Facts of a step beside its result.
struct StepFacts {
  double lr = 0;
  double seconds = 0;                ///< of the whole step
  std::int64_t targets = 0;          ///< over all ranks
  std::int64_t done = 0;             ///< steps of this process
  double training_seconds = 0;       ///< they took
};

class RunReporter {
 public:
  /// The session outlives it; its step counts what is done. Throws Io.
  RunReporter(const Session& session, const std::filesystem::path& run_folder);

  void step(const StepResult& result, const StepFacts& facts);
  /// `average`: the loss of the averaged parameters.
  void validation(double loss, std::optional<double> average);
  /// One was written now.
  void checkpoint();
  void finish(bool stopped, double last_loss);

 private:
  void tell_plan(const comm::ExchangeReport& exchange);
  void note_status(const StepResult& result, const StepFacts& facts);

  const Session& session_;
  const RunConfig& config_;
  MetricsWriter metrics_;
  Progress progress_;
  StatusFile status_file_;
  RunStatus status_;
  double peak_flops_ = 0;            ///< of all ranks together; 0: not known
};

}  // namespace panther::runtime
