#pragma once
// Continuing a run from a checkpoint.
#include <string>

#include "runtime/export.h"
#include "runtime/parallel/gradient_sync.h"
#include "runtime/parallel/local_steps.h"
#include "runtime/train/run_folder.h"
#include "runtime/train/session.h"

namespace panther::runtime {

/// `how`: "" starts anew, "auto" takes the newest valid checkpoint of the run folder (none is fine), else a path.
/// Every rank reads the checkpoint that rank 0 chose. Says which were passed over and why. Throws InvalidArgument when the model of the
/// checkpoint is another one, Unsupported for a newer version, Corrupt for a damaged file that was asked for by path.
PANTHER_RUNTIME_API void resume_session(Session& session, const RunFolder& folder, const std::string& how);

/// Codec state of the checkpoint that resume_session() took: bit for bit at the same number of ranks, else shared out anew with a warning. All
/// ranks together, after `sync` was made.
PANTHER_RUNTIME_API void resume_exchange(const Session& session, GradientSync& sync);

/// The same for ranks that train alone between exchanges: their own parameters and optimizers too.
PANTHER_RUNTIME_API void resume_local(Session& session, LocalSteps& local);
/// What each rank saves for it.
PANTHER_RUNTIME_API NamedTensors local_state(Session& session, const LocalSteps& local);

/// Model parameters alone, for evaluate and generate.
PANTHER_RUNTIME_API void load_parameters(const BuiltModel& built, const std::filesystem::path& checkpoint);

}  // namespace panther::runtime
