#pragma once
// The whole configuration of a run: one struct made of its owners' structs.
#include <filesystem>
#include <string>
#include <vector>

#include "core/config_file.h"
#include "runtime/checkpoint/checkpoint.h"
#include "runtime/data/dataset.h"
#include "runtime/export.h"
#include "runtime/models/model.h"
#include "runtime/observe/timeline.h"
#include "runtime/optim/optimizer.h"
#include "runtime/optim/schedule.h"
#include "runtime/parallel/gradient_sync.h"
#include "runtime/sketch/spec.h"

namespace panther::runtime {

/// `[run]`: where results go.
struct PANTHER_RUNTIME_API RunSection {
  std::string name;                 ///< folder under dir; "" = stem of the configuration + time
  std::string dir = "runs";
  void fields(FieldVisitor& v);
};

/// `[train]`: how long and how much at once.
struct PANTHER_RUNTIME_API TrainSection {
  std::int64_t steps = 1000;
  std::int64_t global_batch = 16;   ///< samples per optimizer step over all ranks
  std::int64_t accumulate = 1;      ///< micro-batches per rank and step
  std::int64_t eval_every = 250;    ///< steps; 0 = only at the end
  std::int64_t eval_batches = 16;   ///< global batches per evaluation
  std::int64_t log_every = 10;      ///< steps between metric lines
  double average_decay = 0;         ///< of the average of the parameters that is evaluated and kept too; 0 = none
  std::int64_t average_every = 1;   ///< steps between its updates
  std::string init_from;            ///< safetensors file or checkpoint with dense weights to start from
  bool deterministic = true;        ///< same bits in two runs with the same ranks
  void fields(FieldVisitor& v);
};

struct PANTHER_RUNTIME_API RunConfig {
  std::int64_t seed = 1;
  std::string device = "auto";      ///< auto | cpu | cuda
  std::string dtype = "f32";        ///< f32 | f64 | bf16 (bf16 compute, f32 parameters)
  RunSection run;
  DataConfig data;
  ModelConfig model;
  OptimConfig optim;
  ScheduleConfig schedule;
  TrainSection train;
  CheckpointConfig checkpoint;
  CommConfig comm;
  ProfileConfig profile;
  std::vector<SketchRule> sketch;
  void fields(FieldVisitor& v);
  VisitFields visitor() { return [this](FieldVisitor& v) { fields(v); }; }
};

/// A configuration with the places its values came from.
struct LoadedConfig {
  RunConfig config;
  ConfigOrigin origin;
  std::filesystem::path file;       ///< empty for text
};

/// Reads, checks ranges and contradictions. Throws InvalidArgument naming key, place and remedy.
PANTHER_RUNTIME_API LoadedConfig load_run_config(const std::filesystem::path& file, const std::vector<std::string>& overrides);
/// The same for text kept in a checkpoint.
PANTHER_RUNTIME_API LoadedConfig load_run_config_text(const std::string& text, const std::string& name);
/// What shapes the model's parameters; everything else at its default.
RunConfig model_settings(const RunConfig& config);
/// Hash of what shapes the model's parameters (seed, model, sketch rules, data shape keys): equal hashes can share a checkpoint.
PANTHER_RUNTIME_API std::uint64_t model_hash(const RunConfig& config);
/// Hash of everything that all ranks must agree on (not where results go).
PANTHER_RUNTIME_API std::uint64_t agreement_hash(const RunConfig& config);

}  // namespace panther::runtime
