#include <cmath>
#include <cstdio>

#include "core/exit_code.h"
#include "core/file_format/safetensors.h"
#include "core/table.h"
#include "runtime/checkpoint/checkpoint.h"
#include "core/arguments.h"
#include "runtime/commands/commands.h"
#include "runtime/observe/progress.h"
#include "runtime/train/cost.h"

namespace panther::runtime {

namespace {

std::string shape_text(const std::vector<std::int64_t>& shape) { return concat("[", join(shape), "]"); }

std::string tensor_table(const CheckpointInfo& info) {
  const SafetensorsFile file(info.folder / "model.safetensors");
  std::vector<std::vector<std::string>> rows;
  for (const SafetensorsEntry& entry : file.entries()) {
    rows.push_back({entry.name, std::string(dtype_name(entry.dtype)), shape_text(entry.shape), human_bytes(static_cast<double>(entry.bytes.size()))});
  }
  return format_columns({"tensor", "dtype", "shape", "size"}, rows);
}

std::string layer_table(const CheckpointInfo& info) {
  std::vector<std::vector<std::string>> rows;
  for (const LayerFacts& layer : info.layers) {
    const bool sketched = layer.spec.sketch_size > 0;
    char seed[24] = "-";
    if (layer.seed_key != 0) std::snprintf(seed, sizeof seed, "%016lx", static_cast<unsigned long>(layer.seed_key));
    rows.push_back({layer.path, layer.kind, sketched ? concat(layer.spec.sketch_size) : "-", sketched ? concat(std::round(layer.spec.alpha * 1e5) / 1e5) : "-", seed,
                    concat(layer.parameters), concat(layer.dense_parameters)});
  }
  return format_columns({"layer", "kind", "R", "alpha", "signs (stored as this seed)", "trained", "dense twin"}, rows);
}

}  // namespace

int inspect_command(const Words& words) {
  const Arguments arguments("panther inspect CHECKPOINT", {}, words);
  if (arguments.wants_help()) {
    std::fputs(arguments.help().c_str(), stdout);
    return kExitDone;
  }
  const CheckpointInfo info = verify_checkpoint(resolve_checkpoint(arguments.only_positional("checkpoint")));
  const ModelCost cost = cost_of(info.layers);
  std::int64_t total = 0;
  std::vector<std::pair<std::string, std::string>> rows{
      {"folder", info.folder.string()},
      {"step", concat(info.step)},
      {"samples seen", concat(info.position)},
      {"trained parameters", concat(human_count(static_cast<double>(cost.parameters)), " (dense twin ", human_count(static_cast<double>(cost.dense_parameters)), ")")}};
  for (const auto& [name, bytes] : info.file_bytes) {
    rows.emplace_back(name, human_bytes(static_cast<double>(bytes)));
    total += bytes;
  }
  const auto model = info.file_bytes.find("model.safetensors");
  if (model != info.file_bytes.end() && cost.parameters > 0) {
    const double dense_bytes = static_cast<double>(model->second) * static_cast<double>(cost.dense_parameters) / static_cast<double>(cost.parameters);
    rows.emplace_back("model of the dense twin", human_bytes(dense_bytes));
  }
  rows.emplace_back("total", human_bytes(static_cast<double>(total)) + ", every checksum verified");
  std::fputs((tensor_table(info) + "\n" + layer_table(info) + "\n" + format_table("checkpoint", rows)).c_str(), stdout);
  return kExitDone;
}

}  // namespace panther::runtime
