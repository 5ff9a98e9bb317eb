#pragma once
// Process exit codes; docs/errors.md is the table.
#include <exception>

#include "core/error.h"

namespace panther {

inline constexpr int kExitDone = 0;
inline constexpr int kExitPreempted = 75;  ///< stopped on request with a valid checkpoint: please requeue
inline constexpr int kExitWatchdog = 124;
constexpr int exit_for_signal(int signal) noexcept { return 128 + signal; }

PANTHER_CORE_API int exit_code_for(ErrorCode code) noexcept;
/// Runs `body`; prints an escaping error to stderr (what, where, what to do) and returns its exit code. For mains.
PANTHER_CORE_API int run_main(int (*body)(int, char**), int argc, char** argv) noexcept;

}  // namespace panther
