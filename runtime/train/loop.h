#pragma once
// The training loop: steps, metrics, evaluation, checkpoints, orderly stops.
#include "runtime/export.h"
#include "runtime/train/evaluate.h"
#include "runtime/train/run_folder.h"
#include "runtime/train/session.h"
#include "runtime/train/step.h"

namespace panther::runtime {

/// What a run came to, for the closing table.
struct TrainingOutcome {
  std::int64_t first_step = 0;
  std::int64_t last_step = 0;             ///< steps done in total
  bool preempted = false;                 ///< stopped on request after a checkpoint
  double first_loss = 0;
  double last_loss = 0;
  Evaluation first_validation;            ///< without held-out data both stay empty
  Evaluation last_validation;
  double wall_seconds = 0;                ///< of the loop
  double training_seconds = 0;            ///< of the steps alone
  std::int64_t targets = 0;               ///< trained on, all ranks
  StepTimes mean_times;                   ///< per step, this rank
  double mean_bytes_sent = 0;             ///< per step, this rank
  std::int64_t traced_events = 0;
};

/// Trains from session.step to train.steps. Throws NonFinite after optim.max_nonfinite skipped steps in a row, and what the exchange throws.
PANTHER_RUNTIME_API TrainingOutcome run_training(Session& session, const RunFolder& folder);

}  // namespace panther::runtime
