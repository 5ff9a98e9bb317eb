#pragma once
// A model rebuilt from a checkpoint alone.
#include <string>

#include "runtime/train/session.h"

namespace panther::runtime {

struct CheckpointModel {
  CheckpointInfo info;
  LoadedConfig loaded;
  BuiltModel built;
  Device device;
};

/// `given` as users write it (run folder, checkpoints folder, step folder). Verified before it is read. `average`: with the average of the
/// parameters; throws InvalidArgument where the checkpoint holds none.
CheckpointModel open_checkpoint_model(const std::string& given, const std::string& device, bool average = false);

}  // namespace panther::runtime
