#include <algorithm>
#include <cstdio>
#include <limits>

#include "core/arguments.h"
#include "core/error.h"
#include "core/exit_code.h"
#include "runtime/checkpoint/checkpoint.h"
#include "runtime/commands/commands.h"

namespace panther::runtime {

namespace {

/// Checkpoints as users name them; one run folder stands for its last ones.
std::vector<CheckpointInfo> chosen(const std::vector<std::string>& given, std::int64_t last) {
  std::vector<CheckpointInfo> result;
  for (const std::string& name : given) {
    const std::filesystem::path newest = resolve_checkpoint(name);
    if (given.size() > 1 || std::filesystem::equivalent(name, newest)) {
      result.push_back(verify_checkpoint(newest));
      continue;
    }
    const std::vector<std::filesystem::path> kept = finished_checkpoints(std::filesystem::canonical(newest).parent_path());
    const std::size_t count = std::min(kept.size(), static_cast<std::size_t>(last));
    for (std::size_t i = kept.size() - count; i < kept.size(); ++i) result.push_back(verify_checkpoint(kept[i]));
  }
  PANTHER_REQUIRE(result.size() >= 2, "there is one checkpoint to average, ", result.front().folder, "; name several, or a run that kept several (checkpoint.keep)");
  std::sort(result.begin(), result.end(), [](const CheckpointInfo& a, const CheckpointInfo& b) { return a.step < b.step; });
  for (const CheckpointInfo& info : result) {
    PANTHER_REQUIRE(info.config_hash == result.front().config_hash, "checkpoints ", result.front().folder, " and ", info.folder,
                    " hold different models (seed, [model], [[sketch]], data.seq_len or dtype differ); only checkpoints of one model have a mean");
  }
  return result;
}

/// Floating tensors summed in f64 and rounded once; others must be alike.
NamedTensors mean_of(const std::vector<CheckpointInfo>& checkpoints) {
  std::map<std::string, at::Tensor> sum, first;
  for (const CheckpointInfo& info : checkpoints) {
    for (const auto& [name, tensor] : read_tensors(info.folder / "model.safetensors")) {
      first.try_emplace(name, tensor);
      if (!tensor.is_floating_point()) {
        PANTHER_REQUIRE(at::equal(tensor, first.at(name)), "'", name, "' in ", info.folder, " differs from that in ", checkpoints.front().folder, " and has no mean");
        continue;
      }
      const auto [place, fresh] = sum.try_emplace(name, tensor.to(at::kDouble, false, true));
      if (!fresh) place->second += tensor;
    }
  }
  NamedTensors mean;
  for (const auto& [name, tensor] : first) {
    const auto found = sum.find(name);
    mean.emplace_back(name, found == sum.end() ? tensor : (found->second / static_cast<double>(checkpoints.size())).to(tensor.scalar_type()));
  }
  return mean;
}

NamedTensors named(const std::map<std::string, at::Tensor>& tensors) { return {tensors.begin(), tensors.end()}; }

}  // namespace

int average_command(const Words& words) {
  const Arguments arguments("panther average CHECKPOINT... -o FOLDER [options]",
                            {{"-o", "FOLDER", "where the new checkpoint goes: FOLDER/step_<newest>"},
                             {"--last", "N", "with one run folder: its N newest checkpoints (all that it kept)"}},
                            words);
  if (arguments.wants_help()) {
    std::fputs(arguments.help().c_str(), stdout);
    return kExitDone;
  }
  const auto out = arguments.value("-o");
  PANTHER_REQUIRE(out.has_value(), "say where the average goes: -o FOLDER");
  PANTHER_REQUIRE(!arguments.positional().empty(), "name the checkpoints, or a run folder");
  const std::int64_t last = arguments.integer("--last", std::numeric_limits<std::int64_t>::max());
  PANTHER_REQUIRE(last >= 2, "--last is ", last, "; a mean takes 2 checkpoints or more");
  const std::vector<CheckpointInfo> checkpoints = chosen(arguments.positional(), last);
  const CheckpointInfo& newest = checkpoints.back();
  TrainingState state;
  state.step = newest.step;
  state.position = newest.position;
  state.optimizer_steps = newest.optimizer_steps;
  state.nonfinite_skipped = newest.nonfinite_skipped;
  state.seed = newest.seed;
  state.config_toml = newest.config_toml;
  state.config_hash = newest.config_hash;
  state.model = mean_of(checkpoints);
  state.optimizer = named(read_tensors(newest.folder / "optimizer.safetensors"));
  state.layers = newest.layers;
  state.shape = newest.shape;
  CheckpointConfig keep_all;
  keep_all.keep = std::numeric_limits<std::int64_t>::max();
  CheckpointWriter(*out, keep_all).save(state);
  for (const CheckpointInfo& info : checkpoints) std::printf("  %s\n", info.folder.c_str());
  std::printf("their mean: %s\nnext: panther evaluate %s\n", resolve_checkpoint(*out).c_str(), out->c_str());
  return kExitDone;
}

}  // namespace panther::runtime
