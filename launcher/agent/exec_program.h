#pragma once
// Programs beside this one (panther-worker, panther-linalg, panther-bench): where they are, and becoming one.
#include <filesystem>
#include <string>
#include <vector>

namespace panther::launcher {

/// The program `name` ("panther-linalg"): what its variable says (PANTHER_LINALG), else the one beside this program. Throws Unsupported
/// saying where it was looked for and how it is built.
std::filesystem::path program_path(const std::string& name);
inline std::filesystem::path worker_path() { return program_path("panther-worker"); }

/// Replaces this process by `name`; environment, descriptors and process id stay. Throws when that fails.
[[noreturn]] void exec_program(const std::string& name, const std::vector<std::string>& arguments);

/// A program by path, or by name through PATH. Throws InvalidArgument.
std::filesystem::path find_program(const std::string& name);

}  // namespace panther::launcher
