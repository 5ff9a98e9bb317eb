// panther-worker: one rank of a job, and the commands that need torch. `panther` execs it.
#include <csignal>
#include <cstdio>

#include "core/error.h"
#include "core/exit_code.h"
#include "core/registry.h"
#include "runtime/commands/commands.h"
#include "runtime/tensor/host_memory.h"
#include "runtime/tensor/torch_error.h"

namespace {

using panther::runtime::Words;

int dispatch(int argc, char** argv) {
  panther::Registry<int (*)(const Words&)> commands("command");
  commands.add("train", panther::runtime::train_command);
  commands.add("evaluate", panther::runtime::evaluate_command);
  commands.add("average", panther::runtime::average_command);
  commands.add("generate", panther::runtime::generate_command);
  commands.add("inspect", panther::runtime::inspect_command);
  commands.add("doctor", panther::runtime::doctor_command);
  commands.add("schema", panther::runtime::schema_command);
  const Words words(argv + 1, argv + argc);
  PANTHER_REQUIRE(!words.empty(), "which command? One of: ", panther::join(commands.names()));
  try {
    return commands.at(words.front())(Words(words.begin() + 1, words.end()));
  } catch (const c10::Error& error) {
    throw panther::runtime::error_from(error);
  }
}

}  // namespace

int main(int argc, char** argv) {
  std::signal(SIGXFSZ, SIG_IGN);  // a file-size limit becomes an Io error of the write
  panther::runtime::keep_freed_memory();
  const int code = panther::run_main(dispatch, argc, argv);
  std::fflush(nullptr);
  return code;
}
