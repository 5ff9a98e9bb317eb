#include <cstdio>

#include "core/arguments.h"
#include "core/exit_code.h"
#include "runtime/commands/commands.h"
#include "runtime/train/run_config.h"

namespace panther::runtime {

int schema_command(const Words& words) {
  const Arguments arguments("panther schema", {}, words);
  if (arguments.wants_help()) {
    std::fputs(arguments.help().c_str(), stdout);
    std::puts("every configuration key with its type, default, range and meaning, as one JSON object; for people: panther train --keys");
    return kExitDone;
  }
  arguments.no_positional();
  RunConfig defaults;
  std::puts(config_schema_json(defaults.visitor()).c_str());
  return kExitDone;
}

}  // namespace panther::runtime
