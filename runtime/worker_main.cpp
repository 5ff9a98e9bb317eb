// panther-worker: one rank of a job, and the commands that need torch. `panther` execs it.
#include <algorithm>
#include <csignal>
#include <cstdio>
#include <map>
#include <string>

#include "core/error.h"
#include "core/exit_code.h"
#include "core/text.h"
#include "runtime/commands/commands.h"

namespace {

using panther::runtime::Words;

int dispatch(int argc, char** argv) {
  static const std::map<std::string, int (*)(const Words&)> kCommands{
      {"train", panther::runtime::train_command},       {"evaluate", panther::runtime::evaluate_command},
      {"generate", panther::runtime::generate_command}, {"inspect", panther::runtime::inspect_command},
      {"doctor", panther::runtime::doctor_command},     {"schema", panther::runtime::schema_command}};
  std::vector<std::string> names;
  for (const auto& [name, command] : kCommands) names.push_back(name);
  const Words words(argv + 1, argv + argc);
  PANTHER_REQUIRE(!words.empty(), "which command? One of: ", panther::join(names));
  const auto command = kCommands.find(words.front());
  if (command == kCommands.end()) {
    const std::string near = panther::nearest(words.front(), names);
    panther::fail(panther::ErrorCode::InvalidArgument, "unknown command '", words.front(), "'", near.empty() ? "" : "; did you mean '" + near + "'?",
                  " Known: ", panther::join(names));
  }
  return command->second(Words(words.begin() + 1, words.end()));
}

}  // namespace

int main(int argc, char** argv) {
  std::signal(SIGXFSZ, SIG_IGN);  // a file-size limit becomes an Io error of the write
  const int code = panther::run_main(dispatch, argc, argv);
  std::fflush(nullptr);
  return code;
}
