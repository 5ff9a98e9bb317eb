#include <algorithm>
#include <cstdio>

#include "core/error.h"
#include "core/exit_code.h"
#include "core/log.h"
#include "core/arguments.h"
#include "runtime/commands/commands.h"
#include "runtime/tensor/torch_error.h"
#include "runtime/train/generate.h"
#include "runtime/train/loop.h"
#include "runtime/train/plan_report.h"
#include "runtime/train/resume.h"
#include "runtime/train/stop_signals.h"
#include "runtime/train/summary.h"

namespace panther::runtime {

namespace {

Arguments parse(const Words& words) {
  return Arguments("panther train CONFIG.toml [--nproc N] [options]",
                   {{"--set", "KEY=VALUE", "override one key, e.g. --set optim.lr=1e-3 (may be repeated)"},
                    {"--resume", "auto|PATH", "continue: the newest valid checkpoint of this run, or a given one"},
                    {"--dry-run", "", "print the resolved configuration, every layer and its cost, and stop"},
                    {"--nproc", "N", "local ranks (handled by `panther`; here: ranks to plan for with --dry-run)"},
                    {"--keys", "", "list every configuration key"}},
                   words);
}

int dry_run(LoadedConfig loaded, const RankFacts& facts, std::int64_t ranks) {
  if (facts.rank != 0) return kExitDone;
  const Datasets data = make_datasets(loaded.config.data, static_cast<std::uint64_t>(loaded.config.seed), loaded.origin);
  const BuiltModel built = build_model(loaded, data.train->shape(), choose_device(loaded.config.device, facts.local_rank));
  std::fputs(plan_report(loaded, data, built, static_cast<int>(std::max<std::int64_t>(ranks, facts.world_size))).c_str(), stdout);
  return kExitDone;
}

/// Bytes a terminal may misread become '?': an untrained model writes any byte.
std::string printable(std::string text) {
  for (char& c : text) {
    const bool shown = (c >= ' ' && c <= '~') || c == '\n' || c == '\t';
    if (!shown) c = '?';
  }
  return text;
}

void print_sample(Session& session) {
  const DataShape shape = session.data.train->shape();
  if (shape.sequence == 0) return;
  GenerateOptions options;
  options.prompt = "  template<typename _Tp>\n";
  options.tokens = 320;
  const std::string text = generate(*session.built.model, shape, session.built.parameters.front().tensor.device(), options);
  std::printf("\nsample (after the line \"  template<typename _Tp>\")\n%s%s\n", options.prompt.c_str(), printable(text).c_str());
}

/// A new run in the folder of another replaces its metrics, and its checkpoints as it gets to their steps.
void warn_of_earlier_run(const RunFolder& folder) {
  const auto earlier = finished_checkpoints(folder.checkpoints());
  if (earlier.empty()) return;
  log_warn("a new run starts over an earlier one", {{"folder", folder.path.string()}, {"its_newest_checkpoint", earlier.back().filename().string()},
                                                    {"remedy", "--resume auto continues it, another run.name keeps both"}});
}

std::string next_command(const Session& session, const RunFolder& folder) {
  if (session.data.train->shape().sequence > 0) return concat("panther generate ", folder.path.string(), " --prompt \"#include <\"");
  return concat("panther evaluate ", folder.path.string());
}

/// Runs to the end or to an orderly stop; the exit code.
int train_in(const RunFolder& folder, Session& session, const std::string& resume) {
  const bool leader = session.world.leader();
  if (leader && resume.empty()) warn_of_earlier_run(folder);
  resume_session(session, folder, resume);  // before anything is written: a checkpoint that does not fit leaves no trace
  if (leader) prepare_run_folder(folder, session.world, session.loaded);
  announce_run_folder(folder);
  if (leader) std::printf("run folder %s\n%s\n", folder.path.c_str(), session.data.train->summary().c_str());
  const TrainingOutcome outcome = run_training(session, folder);
  if (leader) {
    std::fputs(training_summary(session, folder, outcome).c_str(), stdout);
    if (!outcome.preempted) print_sample(session);
    std::printf("\nnext: %s   |   panther inspect %s\n", next_command(session, folder).c_str(), folder.path.c_str());
  }
  if (!outcome.preempted) return kExitDone;
  if (leader) std::printf("stopped on request; continue with --resume auto --set run.name=%s\n", folder.path.filename().c_str());
  return kExitPreempted;
}

[[noreturn]] void leave_error(const RunFolder& folder, const Session& session, const Error& error) {
  note_error(folder, session.world.rank(), error);
  throw error.with(concat("rank ", session.world.rank(), ", step ", session.step));
}

int train(LoadedConfig loaded, const RankFacts& facts, const std::string& resume) {
  const auto session = open_session(std::move(loaded), facts);
  const RunFolder folder = choose_run_folder(session->world, session->loaded, resume == "auto");
  try {
    return train_in(folder, *session, resume);
  } catch (const Error& error) {
    leave_error(folder, *session, error);
  } catch (const c10::Error& error) {
    leave_error(folder, *session, error_from(error));
  }
}

}  // namespace

int train_command(const Words& words) {
  const Arguments arguments = parse(words);
  if (arguments.wants_help() || arguments.flag("--keys")) {
    RunConfig defaults;
    std::fputs((arguments.wants_help() ? arguments.help() : config_help(defaults.visitor())).c_str(), stdout);
    return kExitDone;
  }
  install_stop_signals();
  const RankFacts facts = read_rank_facts(env_value);
  configure_log({.rank = facts.world_size > 1 ? facts.rank : -1, .node = {}, .file = {}});
  LoadedConfig loaded = load_run_config(arguments.only_positional("configuration file"), arguments.values("--set"));
  if (arguments.flag("--dry-run")) return dry_run(std::move(loaded), facts, arguments.integer("--nproc", 1));
  return train(std::move(loaded), facts, arguments.value("--resume").value_or(""));
}

}  // namespace panther::runtime
