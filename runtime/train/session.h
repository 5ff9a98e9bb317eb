#pragma once
// Everything a training or evaluation process holds, built in the right order from one configuration.
#include <filesystem>
#include <memory>
#include <optional>
#include <vector>

#include "runtime/export.h"
#include "runtime/optim/parameter_average.h"
#include "runtime/parallel/sharded_parameters.h"
#include "runtime/train/cost.h"
#include "runtime/train/run_config.h"
#include "runtime/train/world.h"

namespace panther::runtime {

/// The model with its facts. Built the same way by train, evaluate, generate and inspect.
struct BuiltModel {
  std::shared_ptr<Model> model;
  std::vector<ParameterInfo> parameters;
  std::vector<LayerFacts> layers;
  ModelCost cost;
};

PANTHER_RUNTIME_API BuiltModel build_model(const LoadedConfig& loaded, const DataShape& shape, Device device);

struct PANTHER_RUNTIME_API Session {
  LoadedConfig loaded;
  World world;
  Datasets data;
  BuiltModel built;
  std::optional<ShardedParameters> shards;  ///< comm.shard_optimizer, with several ranks
  std::unique_ptr<Optimizer> optimizer;
  std::optional<ParameterAverage> average;  ///< train.average_decay
  std::int64_t step = 0;                  ///< next step
  std::int64_t position = 0;              ///< next global sample
  std::int64_t nonfinite_skipped = 0;
  std::filesystem::path resumed_from;     ///< checkpoint that this run goes on from; empty: none

  const RunConfig& config() const { return loaded.config; }
  bool bf16() const { return loaded.config.dtype == "bf16"; }
  /// What a checkpoint stores now; all ranks together where the optimizer is sharded. Tensors share memory with the session.
  TrainingState state();
};

/// Joins the world, reads the data, builds model and optimizer, and checks that all ranks agree (configuration, binary, signs).
PANTHER_RUNTIME_API std::unique_ptr<Session> open_session(LoadedConfig loaded, const RankFacts& facts);
/// Compares parameters and cursor across ranks; after start and after resume. Throws InvalidArgument naming what differs.
PANTHER_RUNTIME_API void require_same_state(Session& session);

}  // namespace panther::runtime
