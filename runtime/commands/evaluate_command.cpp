#include <cmath>
#include <cstdio>

#include "core/error.h"
#include "core/exit_code.h"
#include "core/json_text.h"
#include "core/arguments.h"
#include "runtime/commands/checkpoint_model.h"
#include "runtime/commands/commands.h"
#include "runtime/train/evaluate.h"

namespace panther::runtime {

int evaluate_command(const Words& words) {
  const Arguments arguments("panther evaluate CHECKPOINT [options]",
                            {{"--data", "PATH", "other data than the run's (data.path)"},
                             {"--batches", "N", "global batches; 0 = all validation data (train.eval_batches)"},
                             {"--average", "", "the average of the parameters (train.average_decay) instead of the last ones"},
                             {"--device", "NAME", "auto | cpu | cuda"},
                             {"--json", "", "one JSON object"}},
                            words);
  if (arguments.wants_help()) {
    std::fputs(arguments.help().c_str(), stdout);
    return kExitDone;
  }
  const RankFacts facts = read_rank_facts(env_value);
  CheckpointModel opened = open_checkpoint_model(arguments.only_positional("checkpoint"), arguments.value("--device").value_or("auto"), arguments.flag("--average"));
  RunConfig& config = opened.loaded.config;
  config.data.path = arguments.value("--data").value_or(config.data.path);
  config.device = opened.device.kind == DeviceKind::cuda ? "cuda" : "cpu";
  const Datasets data = make_datasets(config.data, static_cast<std::uint64_t>(config.seed), opened.loaded.origin);
  PANTHER_REQUIRE(data.validation || arguments.value("--data"), opened.loaded.origin.at("data.val_fraction"), ": the run held nothing out (0), so there is no "
                  "validation data; name text it has not seen with --data PATH, all of it is then evaluated");
  World world = join_world(config, facts);
  std::int64_t batches = arguments.integer("--batches", config.train.eval_batches);
  PANTHER_REQUIRE(batches >= 0, "--batches is ", batches, "; give 0 (all) or more");
  const Dataset& held_out = data.validation ? *data.validation : *data.train;
  if (batches == 0) batches = held_out.size() / config.train.global_batch + 1;
  const Evaluation result = evaluate(*opened.built.model, held_out, world, batches, config.train.global_batch, config.dtype == "bf16");
  if (!world.leader()) return kExitDone;
  if (arguments.flag("--json")) {
    std::printf("{\"step\": %ld, \"loss\": %s, \"targets\": %ld, \"seconds\": %s}\n", static_cast<long>(opened.info.step),
                json_number(result.loss).c_str(), static_cast<long>(result.targets), json_number(result.seconds).c_str());
  } else {
    std::printf("step %ld: validation loss %.4f (perplexity %.3f) over %s targets in %s\n", static_cast<long>(opened.info.step), result.loss,
                std::exp(result.loss), human_count(static_cast<double>(result.targets)).c_str(), human_seconds(result.seconds).c_str());
  }
  return kExitDone;
}

}  // namespace panther::runtime
