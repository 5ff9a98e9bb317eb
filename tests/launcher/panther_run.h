#pragma once
// `panther` as a child of a test, with the fake worker in place of the real one.
#include <chrono>
#include <map>
#include <string>
#include <vector>

#include "core/scratch_folder.h"
#include "launcher/agent/process.h"

namespace panther::launcher::testing {

using Words = std::vector<std::string>;

struct Finished {
  int exit_code = -1;  ///< 128 + signal when one ended it
  std::string out;
  std::string err;
  std::chrono::milliseconds took{};
};

class PantherRun {
 public:
  /// Starts it with `words`; `variables` come on top of an environment without any rank's variables ("" removes one).
  explicit PantherRun(const Words& words, const std::map<std::string, std::string>& variables = {});
  ~PantherRun();
  PantherRun(const PantherRun&) = delete;
  PantherRun& operator=(const PantherRun&) = delete;

  pid_t pid() const { return process_.pid(); }
  /// Waits until its standard output holds `text`; false after 20 s or when it ended.
  bool wait_for(const std::string& text);
  void signal(int signal) const;  ///< to panther alone, as a shell does after exec in a group of its own
  /// Waits for its end (at most 30 s, then kills it and fails the test).
  Finished finish();

 private:
  bool read_some();
  Process process_;
  std::chrono::steady_clock::time_point began_;
  Finished result_;
};

/// Starts and finishes.
Finished run_panther(const Words& words, const std::map<std::string, std::string>& variables = {});

bool is_alive(pid_t pid);

}  // namespace panther::launcher::testing
