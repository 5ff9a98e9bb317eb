#pragma once
// panther-linalg as a function.
#include <string>
#include <vector>

namespace panther::tools {

/// `words` follow the program's name. Prints the report (or help) to stdout and progress to stderr; returns the exit code. Throws Error.
int linalg_command(const std::vector<std::string>& words);

}  // namespace panther::tools
