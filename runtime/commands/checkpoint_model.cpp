#include "runtime/commands/checkpoint_model.h"

#include "runtime/train/resume.h"

namespace panther::runtime {

CheckpointModel open_checkpoint_model(const std::string& given, const std::string& device) {
  CheckpointModel opened;
  opened.info = verify_checkpoint(resolve_checkpoint(given));
  opened.loaded = load_run_config_text(opened.info.config_toml, (opened.info.folder / "config.toml").string());
  // The layers were fitted when they were made; now their stored tensors are read.
  for (SketchRule& rule : opened.loaded.config.sketch) rule.init = "scratch";
  opened.device = choose_device(device, 0);
  opened.built = build_model(opened.loaded, opened.info.shape, opened.device);
  load_parameters(opened.built, opened.info.folder);
  return opened;
}

}  // namespace panther::runtime
