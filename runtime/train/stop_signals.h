#pragma once
// SIGTERM and SIGINT ask for a checkpoint and an orderly end, SIGUSR2 for a checkpoint; a second SIGINT ends the process.
#include "runtime/export.h"

namespace panther::runtime {

/// Installs the handlers. Call once, before threads start.
PANTHER_RUNTIME_API void install_stop_signals();
/// True from the first SIGTERM or SIGINT on.
PANTHER_RUNTIME_API bool stop_requested() noexcept;
/// True once per SIGUSR2.
PANTHER_RUNTIME_API bool take_checkpoint_request() noexcept;

}  // namespace panther::runtime
