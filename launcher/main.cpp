// panther: the command people type.
#include <cstdio>

#include "core/exit_code.h"
#include "launcher/cli/commands.h"

int main(int argc, char** argv) {
  const int code = panther::run_main(&panther::launcher::run_command, argc, argv);
  std::fflush(nullptr);
  return code;
}
