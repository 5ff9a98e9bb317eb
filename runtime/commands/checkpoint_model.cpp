#include "runtime/commands/checkpoint_model.h"

#include "core/error.h"
#include "runtime/train/resume.h"

namespace panther::runtime {

CheckpointModel open_checkpoint_model(const std::string& given, const std::string& device, bool average) {
  CheckpointModel opened;
  opened.info = verify_checkpoint(resolve_checkpoint(given));
  opened.loaded = load_run_config_text(opened.info.config_toml, (opened.info.folder / "config.toml").string());
  // The layers were fitted when they were made; now their stored tensors are read.
  for (SketchRule& rule : opened.loaded.config.sketch) rule.init = "scratch";
  opened.device = choose_device(device, 0);
  opened.built = build_model(opened.loaded, opened.info.shape, opened.device);
  load_parameters(opened.built, opened.info.folder);
  if (!average) return opened;
  const std::filesystem::path file = average_file(opened.info.folder);
  PANTHER_REQUIRE(opened.info.file_bytes.contains(file.filename().string()), "checkpoint ", opened.info.folder,
                  " holds no average of the parameters; train with train.average_decay = 0.999, or leave --average out");
  NamedTensors trained;
  for (const ParameterInfo& parameter : opened.built.parameters) {
    if (parameter.tensor.requires_grad()) trained.emplace_back(parameter.name, parameter.tensor);
  }
  load_tensors(file, trained);
  return opened;
}

}  // namespace panther::runtime
