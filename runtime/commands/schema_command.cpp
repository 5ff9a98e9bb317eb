#include <cstdio>

#include "core/exit_code.h"
#include "runtime/commands/commands.h"
#include "runtime/train/run_config.h"

namespace panther::runtime {

int schema_command(const Words&) {
  RunConfig defaults;
  std::puts(config_schema_json(defaults.visitor()).c_str());
  return kExitDone;
}

}  // namespace panther::runtime
