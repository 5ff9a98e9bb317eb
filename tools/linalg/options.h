#pragma once
// The options of panther-linalg, by command.
#include <string>
#include <vector>

#include "core/arguments.h"

namespace panther::tools {

/// What `command` (a name of linalg_commands()) takes; what it does not take is an unknown option.
std::vector<OptionSpec> linalg_options(const std::string& command);

}  // namespace panther::tools
