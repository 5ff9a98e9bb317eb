#include <cstdio>

#include "core/exit_code.h"
#include "core/arguments.h"
#include "runtime/commands/checkpoint_model.h"
#include "runtime/commands/commands.h"
#include "runtime/tensor/view_of.h"
#include "runtime/train/generate.h"

namespace panther::runtime {

int generate_command(const Words& words) {
  const Arguments arguments("panther generate CHECKPOINT [options]",
                            {{"--prompt", "TEXT", "what the text begins with"},
                             {"--tokens", "N", "how much to write (256)"},
                             {"--temperature", "T", "0 = likeliest, 1 = as learnt (0.8)"},
                             {"--top-k", "K", "draw among the K likeliest; 0 = all (40)"},
                             {"--seed", "S", "another seed, another text (1)"},
                             {"--average", "", "the average of the parameters (train.average_decay) instead of the last ones"},
                             {"--device", "NAME", "auto | cpu | cuda"}},
                            words);
  if (arguments.wants_help()) {
    std::fputs(arguments.help().c_str(), stdout);
    return kExitDone;
  }
  GenerateOptions options;
  options.prompt = arguments.value("--prompt").value_or(options.prompt);
  options.tokens = arguments.integer("--tokens", options.tokens);
  options.temperature = arguments.number("--temperature", options.temperature);
  options.top_k = arguments.integer("--top-k", options.top_k);
  options.seed = arguments.integer("--seed", options.seed);
  const CheckpointModel opened = open_checkpoint_model(arguments.only_positional("checkpoint"), arguments.value("--device").value_or("auto"), arguments.flag("--average"));
  const std::string text = generate(*opened.built.model, opened.info.shape, torch_device(opened.device), options);
  std::fwrite(options.prompt.data(), 1, options.prompt.size(), stdout);
  std::fwrite(text.data(), 1, text.size(), stdout);
  std::fputc('\n', stdout);
  return kExitDone;
}

}  // namespace panther::runtime
