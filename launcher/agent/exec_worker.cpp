#include "launcher/agent/exec_worker.h"

#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <sstream>

#include "core/env.h"
#include "core/error.h"

namespace panther::launcher {

namespace fs = std::filesystem;

fs::path worker_path() {
  const auto given = env_value("PANTHER_WORKER");
  if (given && !given->empty()) {
    if (::access(given->c_str(), X_OK) == 0) return *given;
    fail(ErrorCode::Unsupported, "PANTHER_WORKER='", *given, "' is not a program that can be run: ", std::strerror(errno),
         "; correct it or unset it");
  }
  std::error_code error;
  const fs::path self = fs::read_symlink("/proc/self/exe", error);
  const fs::path worker = self.parent_path() / "panther-worker";
  if (!error && ::access(worker.c_str(), X_OK) == 0) return worker;
  fail(ErrorCode::Unsupported, "this command needs panther-worker, and there is none at '", worker.string(),
       "'; build with torch (PANTHER_WITH_TORCH=ON, deploy/bootstrap.sh installs it), or set PANTHER_WORKER to its path");
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

void exec_worker(const std::vector<std::string>& arguments) {
  const fs::path worker = worker_path();
  std::vector<std::string> words{worker.string()};
  words.insert(words.end(), arguments.begin(), arguments.end());
  std::vector<char*> pointers;
  for (std::string& word : words) pointers.push_back(word.data());
  pointers.push_back(nullptr);
  std::fflush(nullptr);
  ::execv(worker.c_str(), pointers.data());
  fail(ErrorCode::Unsupported, "cannot run '", worker.string(), "': ", std::strerror(errno));
}

}  // namespace panther::launcher
