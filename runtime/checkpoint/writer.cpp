#include <exception>
#include <nlohmann/json.hpp>
#include <thread>
#include <utility>

#include "core/atomic_file.h"
#include "core/crc32c.h"
#include "core/error.h"
#include "core/file_format/safetensors.h"
#include "core/log.h"
#include "runtime/checkpoint/checkpoint.h"
#include "runtime/checkpoint/host_tensors.h"
#include "runtime/checkpoint/manifest.h"
#include "runtime/checkpoint/step_folder.h"

namespace panther::runtime {

namespace fs = std::filesystem;

namespace {

FileSums write_tensors(const fs::path& folder, const char* name, const NamedTensors& tensors, std::int64_t step) {
  const HostTensors host(tensors);
  const std::uint32_t sum = write_safetensors(folder / name, host.entries(), {{"format", "pt"}, {"step", concat(step)}});
  // Read back: the structure is parsed and every chunk's sum comes from what the file system returns, which must be what was sent.
  const SafetensorsFile file(folder / name);
  if (crc32c(file.bytes()) != sum)
    fail(ErrorCode::Io, "'", (folder / name).string(), "' reads back other bytes than were written; check the disk and the memory");
  return sums_of(name, file.bytes());
}

/// The state that a rank left for this checkpoint.
FileSums take_exchange_state(const fs::path& checkpoints, const fs::path& folder, std::int64_t step, int rank) {
  const fs::path waiting = exchange_waiting(checkpoints, step, rank), target = folder / exchange_name(rank);
  std::error_code error;
  fs::rename(waiting, target, error);
  if (error)
    fail(ErrorCode::Io, "cannot take in the codec state of rank ", rank, ", '", waiting.string(), "': ", error.message(),
         "; run.dir must be a folder that all ranks share");
  const SafetensorsFile file(target);
  return sums_of(exchange_name(rank), file.bytes());
}

FileSums write_text(const fs::path& folder, const char* name, std::string_view text) {
  DurableFile file(folder / name);
  file.append(text);
  file.commit();
  return sums_of(name, std::as_bytes(std::span(text.data(), text.size())));
}

void write_contents(const fs::path& checkpoints, const fs::path& folder, const TrainingState& state) {
  Manifest manifest;
  CheckpointInfo& info = manifest.info;
  info.step = state.step;
  info.position = state.position;
  info.optimizer_steps = state.optimizer_steps;
  info.nonfinite_skipped = state.nonfinite_skipped;
  info.seed = state.seed;
  info.config_hash = state.config_hash;
  info.layers = state.layers;
  info.shape = state.shape;
  manifest.files.push_back(write_tensors(folder, kModelFile, state.model, state.step));
  manifest.files.push_back(write_tensors(folder, kOptimizerFile, state.optimizer, state.step));
  if (!state.average.empty()) manifest.files.push_back(write_tensors(folder, kAverageFile, state.average, state.step));
  manifest.files.push_back(write_text(folder, kConfigFile, state.config_toml));
  manifest.files.push_back(write_text(folder, kModelJsonFile, state.model_json.empty() ? "{}\n" : state.model_json));
  for (int rank = 0; rank < state.exchange_ranks; ++rank) manifest.files.push_back(take_exchange_state(checkpoints, folder, state.step, rank));
  const std::string text = manifest_text(manifest);
  write_text(folder, kManifestFile, text);
  // The folder's entries must be on the disk before the file that vouches for them.
  sync_folder(folder);
  write_text(folder, kDoneFile, seal_text(text));
}

std::string latest_of(const fs::path& checkpoints) {
  std::error_code error;
  const fs::path target = fs::read_symlink(checkpoints / kLatestLink, error);
  return error ? "no checkpoint was written before" : concat("the latest one is still ", target.string());
}

void apply_retention(const fs::path& checkpoints, std::int64_t saved, const CheckpointConfig& config) {
  std::vector<std::int64_t> steps;
  // Later steps belong to a run that was rewound; they are overwritten when this one gets there, and must not push out what is valid.
  for (const std::int64_t step : steps_in(checkpoints))
    if (step <= saved && is_finished(checkpoints / step_name(step))) steps.push_back(step);
  for (const std::int64_t step : steps_to_delete(steps, config)) remove_step(checkpoints, step);
}

void save_now(const fs::path& checkpoints, const CheckpointConfig& config, const TrainingState& state) {
  try {
    std::error_code error;
    fs::create_directories(checkpoints, error);
    if (error)
      fail(ErrorCode::Io, "cannot create folder '", checkpoints.string(), "': ", error.message(),
           "; check its permissions or choose another run.dir");
    remove_leftovers(checkpoints);
    TemporaryFolder temporary(checkpoints, state.step);
    write_contents(checkpoints, temporary.path(), state);
    temporary.publish();
    replace_link(step_name(state.step), checkpoints / kLatestLink);
    remove_waiting(checkpoints, state.step);
  } catch (const Error& error) {
    throw error.with(concat("while saving the checkpoint of step ", state.step, " in '", checkpoints.string(), "'; ", latest_of(checkpoints)));
  }
  apply_retention(checkpoints, state.step, config);
}

void check_state(const TrainingState& state) {
  PANTHER_REQUIRE(state.step >= 0, "a checkpoint's step is ", state.step, "; it must not be negative");
  PANTHER_REQUIRE(state.model_json.empty() || nlohmann::json::parse(state.model_json, nullptr, false).is_object(),
                  "model_json of a checkpoint is not a JSON object: ", state.model_json);
}

}  // namespace

void write_exchange_state(const fs::path& checkpoints_folder, std::int64_t step, int rank, const NamedTensors& state) {
  std::error_code error;
  fs::create_directories(checkpoints_folder, error);
  if (error) fail(ErrorCode::Io, "cannot create folder '", checkpoints_folder.string(), "': ", error.message());
  const fs::path file = exchange_waiting(checkpoints_folder, step, rank);
  write_tensors(file.parent_path(), file.filename().c_str(), state, step);
}

fs::path average_file(const fs::path& step_folder) { return step_folder / kAverageFile; }

fs::path exchange_state_file(const fs::path& step_folder, int rank) { return step_folder / exchange_name(rank); }

int exchange_ranks_of(const fs::path& step_folder) {
  int ranks = 0;
  std::error_code error;
  while (fs::is_regular_file(exchange_state_file(step_folder, ranks), error)) ++ranks;
  return ranks;
}

struct CheckpointWriter::Impl {
  fs::path checkpoints;
  CheckpointConfig config;
  std::thread thread;
  std::exception_ptr failure;  ///< of the background save; read after join

  void join() {
    if (thread.joinable()) thread.join();
  }
  void wait() {
    join();
    if (failure) std::rethrow_exception(std::exchange(failure, nullptr));
  }
};

CheckpointWriter::CheckpointWriter(fs::path checkpoints_folder, CheckpointConfig config)
    : impl_(std::make_unique<Impl>(Impl{std::move(checkpoints_folder), std::move(config), {}, nullptr})) {}

CheckpointWriter::~CheckpointWriter() {
  impl_->join();
  if (!impl_->failure) return;
  try {
    std::rethrow_exception(impl_->failure);
  } catch (const std::exception& error) {
    log_error("checkpoint_save_failed", {{"error", error.what()}});
  }
}

void CheckpointWriter::save(const TrainingState& state) {
  impl_->wait();
  check_state(state);
  if (!impl_->config.async) return save_now(impl_->checkpoints, impl_->config, state);
  TrainingState copy = state;
  copy.model = copied_to_host(state.model);
  copy.optimizer = copied_to_host(state.optimizer);
  copy.average = copied_to_host(state.average);
  impl_->thread = std::thread([impl = impl_.get(), copy = std::move(copy)] {
    try {
      save_now(impl->checkpoints, impl->config, copy);
    } catch (...) {
      impl->failure = std::current_exception();
    }
  });
}

void CheckpointWriter::finish() { impl_->wait(); }

}  // namespace panther::runtime
