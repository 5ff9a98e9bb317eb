#include <unistd.h>

#include <algorithm>
#include <cstdio>

#include "core/env.h"
#include "core/exit_code.h"
#include "core/arguments.h"
#include "runtime/commands/commands.h"
#include "runtime/commands/doctor_checks.h"

namespace panther::runtime {

namespace {

std::string mark(Health health, bool colour) {
  switch (health) {
    case Health::good: return colour ? "\033[32mok\033[0m  " : "ok  ";
    case Health::warning: return colour ? "\033[33mnote\033[0m" : "note";
    case Health::bad: return colour ? "\033[31mBAD\033[0m " : "BAD ";
  }
  return "";
}

}  // namespace

int doctor_command(const Words& words) {
  const Arguments arguments("panther doctor", {}, words);
  if (arguments.wants_help()) {
    std::fputs(arguments.help().c_str(), stdout);
    return kExitDone;
  }
  arguments.no_positional();
  const bool colour = isatty(STDOUT_FILENO) != 0 && !env_value("NO_COLOR");
  const std::vector<Check> checks = run_doctor_checks();
  for (const Check& check : checks) {
    std::printf("%s %-24s %s\n", mark(check.health, colour).c_str(), check.name.c_str(), check.found.c_str());
    if (!check.remedy.empty()) std::printf("     %-24s -> %s\n", "", check.remedy.c_str());
  }
  const bool usable = std::none_of(checks.begin(), checks.end(), [](const Check& check) { return check.health == Health::bad; });
  std::puts(usable ? "\nthis machine can train" : "\nthis machine cannot train yet: see BAD above");
  return usable ? kExitDone : exit_code_for(ErrorCode::Unsupported);
}

}  // namespace panther::runtime
