#pragma once
// The closing table of a training run.
#include <string>

#include "runtime/export.h"
#include "runtime/train/loop.h"

namespace panther::runtime {

PANTHER_RUNTIME_API std::string training_summary(const Session& session, const RunFolder& folder, const TrainingOutcome& outcome);

}  // namespace panther::runtime
