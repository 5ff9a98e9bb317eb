#pragma once
// The subcommands of `panther`.

namespace panther::launcher {

/// The program after its start-up: parses, then prints, execs the worker, or starts and watches local ranks. Returns the exit code.
int run_command(int argc, char** argv);

}  // namespace panther::launcher
