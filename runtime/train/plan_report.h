#pragma once
// `--dry-run`: what would be trained, at which cost, without training.
#include <string>

#include "runtime/export.h"
#include "runtime/train/session.h"

namespace panther::runtime {

/// Resolved configuration, every layer with its form, parameters, flops, bytes per step and the memory estimate. `world_size` ranks.
PANTHER_RUNTIME_API std::string plan_report(const LoadedConfig& loaded, const Datasets& data, const BuiltModel& built, int world_size);

}  // namespace panther::runtime
