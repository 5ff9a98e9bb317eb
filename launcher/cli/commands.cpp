#include "launcher/cli/commands.h"

#include <algorithm>
#include <cstdio>

#include "core/env.h"
#include "core/error.h"
#include "core/exit_code.h"
#include "launcher/agent/exec_worker.h"
#include "launcher/agent/local_job.h"
#include "launcher/cli/command_line.h"
#include "launcher/cli/help.h"

namespace panther::launcher {

namespace {

int help(const CommandLine& line) {
  if (line.words.empty()) {
    std::fputs(overview_text().c_str(), stdout);
    return kExitDone;
  }
  const CommandLine about = parse_command_line({line.words.front()});
  const auto& known = subcommands();
  const auto command = std::find_if(known.begin(), known.end(), [&](const Subcommand& each) { return each.name == about.subcommand; });
  if (command->of_worker) exec_worker({command->name, "--help"});
  std::printf("usage: panther %s %s\n  %s\n", command->name, command->arguments, command->help);
  return kExitDone;
}

int train_here(const CommandLine& line) {
  const RankFacts facts = read_rank_facts(env_value);
  PANTHER_REQUIRE(facts.convention == "none", "--nproc ", *line.nproc, " inside an environment that already says rank ", facts.rank, " of ",
                  facts.world_size, " (", facts.convention,
                  "): each of its ranks would start ranks of its own. Leave --nproc out under mpirun, srun and torchrun, or unset their "
                  "variables");
  std::vector<std::string> arguments{line.subcommand};
  arguments.insert(arguments.end(), line.words.begin(), line.words.end());
  return run_local_job({.ranks = *line.nproc, .worker = worker_path(), .arguments = std::move(arguments)});
}

}  // namespace

int run_command(int argc, char** argv) {
  const CommandLine line = parse_command_line({argv + 1, argv + argc});
  if (line.subcommand == "help") return help(line);
  if (line.subcommand == "version") {
    std::fputs(version_text().c_str(), stdout);
    return kExitDone;
  }
  if (line.nproc) return train_here(line);
  std::vector<std::string> arguments{line.subcommand};
  arguments.insert(arguments.end(), line.words.begin(), line.words.end());
  exec_worker(arguments);
}

}  // namespace panther::launcher
