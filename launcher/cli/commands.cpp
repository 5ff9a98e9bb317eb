#include "launcher/cli/commands.h"

#include <cstdio>
#include <string_view>

#include "core/env.h"
#include "core/error.h"
#include "core/exit_code.h"
#include "launcher/agent/exec_program.h"
#include "launcher/agent/local_job.h"
#include "launcher/cli/command_line.h"
#include "launcher/cli/help.h"
#include "launcher/status/status_command.h"

namespace panther::launcher {

namespace {

/// The worker has several commands and is told which; the other programs are one command each.
std::vector<std::string> arguments_of(const Subcommand& command, std::vector<std::string> words) {
  if (command.program == std::string_view("panther-worker")) words.insert(words.begin(), command.name);
  return words;
}

int help(const CommandLine& line) {
  if (line.words.empty()) {
    std::fputs(overview_text().c_str(), stdout);
    return kExitDone;
  }
  const Subcommand* command = &find_subcommand(line.words.front());
  if (command->name == std::string_view("status")) return status_command({"--help"});
  if (command->name == std::string_view("launch")) {
    std::fputs(launch_text().c_str(), stdout);
    return kExitDone;
  }
  if (command->program != nullptr) exec_program(command->program, arguments_of(*command, {"--help"}));
  std::printf("usage: panther %s %s\n  %s\n", command->name, command->arguments, command->help);
  return kExitDone;
}

void require_no_ranks_yet(const CommandLine& line) {
  const RankFacts facts = read_rank_facts(env_value);
  PANTHER_REQUIRE(facts.convention == "none", "--nproc ", *line.nproc, " inside an environment that already says rank ", facts.rank, " of ",
                  facts.world_size, " (", facts.convention,
                  "): each of its ranks would start ranks of its own. Leave --nproc out under mpirun, srun and torchrun, or unset their "
                  "variables");
}

int train_here(const CommandLine& line) {
  require_no_ranks_yet(line);
  std::vector<std::string> arguments{line.subcommand};
  arguments.insert(arguments.end(), line.words.begin(), line.words.end());
  return run_local_job({.ranks = *line.nproc, .worker = worker_path(), .arguments = std::move(arguments)});
}

/// Somebody else's program, found as a shell would find it.
int launch_here(const CommandLine& line) {
  require_no_ranks_yet(line);
  return run_local_job(
      {.ranks = *line.nproc, .worker = find_program(line.words.front()), .arguments = {line.words.begin() + 1, line.words.end()}});
}

}  // namespace

int run_command(int argc, char** argv) {
  const CommandLine line = parse_command_line({argv + 1, argv + argc});
  if (line.subcommand == "help") return help(line);
  if (line.subcommand == "version") {
    std::fputs(version_text().c_str(), stdout);
    return kExitDone;
  }
  if (line.subcommand == "status") return status_command(line.words);
  if (line.subcommand == "launch") return launch_here(line);
  if (line.nproc) return train_here(line);
  const Subcommand& command = find_subcommand(line.subcommand);
  exec_program(command.program, arguments_of(command, line.words));
}

}  // namespace panther::launcher
