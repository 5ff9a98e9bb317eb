#pragma once
// panther-worker: where it is, and becoming it.
#include <filesystem>
#include <string>
#include <vector>

namespace panther::launcher {

/// PANTHER_WORKER, else panther-worker beside this program. Throws Unsupported saying where it was looked for.
std::filesystem::path worker_path();

/// Replaces this process; environment, descriptors and process id stay. Throws when that fails.
[[noreturn]] void exec_worker(const std::vector<std::string>& arguments);

/// A program by path, or by name through PATH. Throws InvalidArgument.
std::filesystem::path find_program(const std::string& name);

}  // namespace panther::launcher
