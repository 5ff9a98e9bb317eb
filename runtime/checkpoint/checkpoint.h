#pragma once
// Checkpoints: checkpoints/step_<n>/{manifest.json, model.safetensors, optimizer.safetensors, config.toml, config.json, DONE}
// and, where there is such state, exchange_rank_<r>.safetensors of every rank (codecs, ranks that train alone between exchanges) and
// average.safetensors (train.average_decay).
// Written into a temporary folder, fsynced, DONE last, renamed, `latest` renamed into place. Fixed signs are a seed: zero bytes.
// DONE holds the size and CRC-32C of the manifest, the manifest those of every other file, chunk by chunk.
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/fields.h"
#include "runtime/data/shape.h"
#include "runtime/export.h"
#include "runtime/layers/layer.h"
#include "runtime/optim/optimizer.h"

namespace panther::runtime {

inline constexpr int kCheckpointVersion = 1;

struct PANTHER_RUNTIME_API CheckpointConfig {
  std::int64_t every = 500;          ///< steps; 0 = only at the end and on request
  std::int64_t keep = 3;             ///< newest kept
  std::int64_t keep_every = 0;       ///< besides, keep each step that is a multiple; 0 = off
  bool async = false;                ///< copy to host memory, write in the background
  void fields(FieldVisitor& v);
};

/// Everything a run needs to continue bit for bit.
struct TrainingState {
  std::int64_t step = 0;             ///< optimizer steps done
  std::int64_t position = 0;         ///< data cursor: next global sample
  std::int64_t optimizer_steps = 0;
  std::int64_t nonfinite_skipped = 0;
  std::uint64_t seed = 0;
  std::string config_toml;           ///< resolved configuration
  std::uint64_t config_hash = 0;     ///< of the keys that shape the model
  NamedTensors model;                ///< trained parameters
  NamedTensors optimizer;
  NamedTensors average;              ///< average of the trained parameters over the steps; empty: none
  std::vector<LayerFacts> layers;    ///< sketch specs and seed keys
  DataShape shape;                   ///< what the model was built for
  int exchange_ranks = 0;            ///< > 0: save() takes in what write_exchange_state() of so many ranks wrote for this step
  std::string model_json;            ///< hyper-parameters for other programs: a JSON object, stored as config.json; "" = {}
};

/// Codec state of one rank beside the checkpoints, for the save() of the same step, which takes it in: the ranks' states never meet in one
/// memory. Every rank calls it, on a file system that all share, then they meet, then rank 0 saves. Throws Io.
PANTHER_RUNTIME_API void write_exchange_state(const std::filesystem::path& checkpoints_folder, std::int64_t step, int rank, const NamedTensors& state);
/// The average of the parameters in a checkpoint, which may have none.
PANTHER_RUNTIME_API std::filesystem::path average_file(const std::filesystem::path& step_folder);
/// Number of ranks whose codec state a checkpoint holds.
PANTHER_RUNTIME_API int exchange_ranks_of(const std::filesystem::path& step_folder);
/// The file of a rank's codec state in a checkpoint.
PANTHER_RUNTIME_API std::filesystem::path exchange_state_file(const std::filesystem::path& step_folder, int rank);

class PANTHER_RUNTIME_API CheckpointWriter {
 public:
  CheckpointWriter(std::filesystem::path checkpoints_folder, CheckpointConfig config);
  ~CheckpointWriter();               ///< waits for a running save
  /// Writes step_<n>, points `latest` at it and deletes what retention no longer keeps. Synchronous unless config.async; then
  /// the tensors are copied before it returns, and a failed background save throws from the next call or finish().
  /// Throws Io (disk full, permission); the previous checkpoint stays `latest` and nothing half-written is left.
  /// One thread at a time; one writer per folder.
  void save(const TrainingState& state);
  void finish();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// What the manifest says, without tensors.
struct CheckpointInfo {
  std::filesystem::path folder;
  std::int64_t step = 0;
  std::int64_t position = 0;
  std::int64_t optimizer_steps = 0;
  std::int64_t nonfinite_skipped = 0;
  std::uint64_t seed = 0;
  std::uint64_t config_hash = 0;
  std::string config_toml;
  std::vector<LayerFacts> layers;
  DataShape shape;
  std::map<std::string, std::int64_t> file_bytes;
};

struct SkippedCheckpoint {
  std::filesystem::path folder;
  std::string why;
};

/// Checks DONE, version, sizes and every CRC. Throws Corrupt naming the file and offset, Unsupported for a newer version.
PANTHER_RUNTIME_API CheckpointInfo verify_checkpoint(const std::filesystem::path& folder);
/// Newest valid checkpoint under `checkpoints_folder`, and those that were passed over with the reason.
PANTHER_RUNTIME_API std::optional<CheckpointInfo> newest_valid(const std::filesystem::path& checkpoints_folder,
                                                               std::vector<SkippedCheckpoint>& skipped);
/// The finished checkpoints of a folder that holds several, by step; their contents are not checked. Throws Io.
PANTHER_RUNTIME_API std::vector<std::filesystem::path> finished_checkpoints(const std::filesystem::path& checkpoints_folder);
/// Copies stored tensors into the given ones, whatever their device; floating dtypes convert. Throws InvalidArgument listing
/// every missing, surplus or misshapen name (both shapes), before anything is written.
PANTHER_RUNTIME_API void load_tensors(const std::filesystem::path& safetensors_file, const NamedTensors& into);
/// Every tensor of a file by name, in host memory of its own.
PANTHER_RUNTIME_API std::map<std::string, at::Tensor> read_tensors(const std::filesystem::path& safetensors_file);
/// A path given by a user: a step folder, a checkpoints folder, a run folder, or `latest`. In a folder of
/// several, what `latest` points at, else the newest finished one. Checks no contents. Throws InvalidArgument saying what is there.
PANTHER_RUNTIME_API std::filesystem::path resolve_checkpoint(const std::filesystem::path& given);
/// Which of `steps` (ascending) may be deleted; never the last one. Pure.
PANTHER_RUNTIME_API std::vector<std::int64_t> steps_to_delete(const std::vector<std::int64_t>& steps, const CheckpointConfig& config);

}  // namespace panther::runtime
