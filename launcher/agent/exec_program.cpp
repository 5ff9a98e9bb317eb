#include "launcher/agent/exec_program.h"

#include <unistd.h>

#include <cctype>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <sstream>

#include "core/env.h"
#include "core/error.h"

namespace panther::launcher {

namespace fs = std::filesystem;

namespace {

/// "panther-linalg" is PANTHER_LINALG.
std::string variable_of(std::string name) {
  for (char& c : name) c = c == '-' ? '_' : static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  return name;
}

std::string_view how_to_build(const std::string& name) {
  if (name == "panther-worker") return "build with torch (PANTHER_WITH_TORCH=ON, deploy/bootstrap.sh installs it)";
  return "build all targets, or install it from the same build as this program";
}

}  // namespace

fs::path program_path(const std::string& name) {
  const std::string variable = variable_of(name);
  const auto given = env_value(variable);
  if (given && !given->empty()) {
    if (::access(given->c_str(), X_OK) == 0) return *given;
    fail(ErrorCode::Unsupported, variable, "='", *given, "' is not a program that can be run: ", std::strerror(errno),
         "; correct it or unset it");
  }
  std::error_code error;
  const fs::path self = fs::read_symlink("/proc/self/exe", error);
  const fs::path program = self.parent_path() / name;
  if (!error && ::access(program.c_str(), X_OK) == 0) return program;
  fail(ErrorCode::Unsupported, "this command needs ", name, ", and there is none at '", program.string(), "'; ", how_to_build(name),
       ", or set ", variable, " to its path");
}

fs::path find_program(const std::string& name) {
  if (name.find('/') != std::string::npos) {
    if (::access(name.c_str(), X_OK) == 0) return name;
    fail(ErrorCode::InvalidArgument, "cannot run '", name, "': ", std::strerror(errno), "; give the path of a program");
  }
  std::istringstream folders(env_value("PATH").value_or(""));
  for (std::string folder; std::getline(folders, folder, ':');) {
    const fs::path candidate = fs::path(folder) / name;
    if (::access(candidate.c_str(), X_OK) == 0) return candidate;
  }
  fail(ErrorCode::InvalidArgument, "no program '", name, "' in PATH; give its path, e.g. ./", name);
}

void exec_program(const std::string& name, const std::vector<std::string>& arguments) {
  const fs::path program = program_path(name);
  std::vector<std::string> words{program.string()};
  words.insert(words.end(), arguments.begin(), arguments.end());
  std::vector<char*> pointers;
  for (std::string& word : words) pointers.push_back(word.data());
  pointers.push_back(nullptr);
  std::fflush(nullptr);
  ::execv(program.c_str(), pointers.data());
  fail(ErrorCode::Unsupported, "cannot run '", program.string(), "': ", std::strerror(errno));
}

}  // namespace panther::launcher
