#pragma once
// What the command line of `panther` asks for. Pure.
#include <optional>
#include <string>
#include <vector>

namespace panther::launcher {

struct Subcommand {
  const char* name;
  const char* arguments;  ///< as help shows them
  const char* help;       ///< one line
  const char* program;    ///< beside this one, that does it; nullptr: this one
};

/// In the order of the help.
const std::vector<Subcommand>& subcommands();

/// Throws InvalidArgument with the nearest known name.
const Subcommand& find_subcommand(const std::string& name);

struct CommandLine {
  std::string subcommand;            ///< "help" when none was given
  bool bare = false;                 ///< no argument at all
  std::optional<int> nproc;          ///< ranks to start and watch here; of train and launch
  std::vector<std::string> words;    ///< what follows the subcommand, without --nproc where that is set
};

/// `arguments` without the program's name. Throws InvalidArgument with the nearest known name for an unknown subcommand, and
/// for a bad --nproc. All other options are left to the subcommand; a plan or a help text needs no ranks, so `nproc` stays unset there.
CommandLine parse_command_line(const std::vector<std::string>& arguments);

}  // namespace panther::launcher
