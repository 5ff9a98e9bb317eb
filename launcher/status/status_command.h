#pragma once
// `panther status`: a run as its folder shows it.
#include <string>
#include <vector>

namespace panther::launcher {

/// Takes the words after `status`; gives an exit code. Throws InvalidArgument where there is no run.
int status_command(const std::vector<std::string>& words);

}  // namespace panther::launcher
