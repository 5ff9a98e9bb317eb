#include <algorithm>

#include "runtime/checkpoint/checkpoint.h"

namespace panther::runtime {

void CheckpointConfig::fields(FieldVisitor& v) {
  v.field("every", every, {.help = "save every so many steps; 0 = only at the end and on request", .unit = "steps", .min = 0});
  v.field("keep", keep, {.help = "checkpoints kept, newest first", .min = 1});
  v.field("keep_every", keep_every, {.help = "besides, keep each step that is a multiple of this; 0 = off", .unit = "steps", .min = 0});
  v.field("async", async, {.help = "copy the tensors and write in the background"});
}

std::vector<std::int64_t> steps_to_delete(const std::vector<std::int64_t>& steps, const CheckpointConfig& config) {
  const auto kept = static_cast<std::size_t>(std::max<std::int64_t>(1, config.keep));
  std::vector<std::int64_t> out;
  for (std::size_t i = 0; i + kept < steps.size(); ++i)
    if (config.keep_every <= 0 || steps[i] % config.keep_every != 0) out.push_back(steps[i]);
  return out;
}

}  // namespace panther::runtime
