#pragma once
// Folders of checkpoints on a file system: their names, a temporary one, publishing, cleaning.
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace panther::runtime {

inline constexpr const char* kModelFile = "model.safetensors";
inline constexpr const char* kOptimizerFile = "optimizer.safetensors";
inline constexpr const char* kAverageFile = "average.safetensors";
inline constexpr const char* kConfigFile = "config.toml";
inline constexpr const char* kModelJsonFile = "config.json";
inline constexpr const char* kManifestFile = "manifest.json";
inline constexpr const char* kDoneFile = "DONE";
inline constexpr const char* kLatestLink = "latest";

std::string step_name(std::int64_t step);
/// The step of "step_<n>", spelled as step_name does; nullopt for any other name.
std::optional<std::int64_t> step_of(const std::filesystem::path& folder);
/// Steps of all folders step_<n>, ascending; those without DONE too. Empty when `checkpoints` does not exist. Throws Io.
std::vector<std::int64_t> steps_in(const std::filesystem::path& checkpoints);
bool is_finished(const std::filesystem::path& step_folder);

/// A folder `.tmp_step_<n>_<pid>` that vanishes unless published. A lock that the kernel drops when the process dies tells a
/// live writer from a dead one, also where process numbers are used again.
class TemporaryFolder {
 public:
  TemporaryFolder(const std::filesystem::path& checkpoints, std::int64_t step);
  ~TemporaryFolder();
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  const std::filesystem::path& path() const { return path_; }
  /// Renames it to step_<n>, in exchange for an older one of the same step, and makes that durable.
  void publish();

 private:
  std::filesystem::path checkpoints_;
  std::filesystem::path path_;
  std::int64_t step_;
  int lock_ = -1;
};

std::string exchange_name(int rank);
/// Where a rank's codec state waits for the checkpoint of its step.
std::filesystem::path exchange_waiting(const std::filesystem::path& checkpoints, std::int64_t step, int rank);
/// Removes codec states of steps up to this one that no checkpoint took in.
void remove_waiting(const std::filesystem::path& checkpoints, std::int64_t step);

/// Removes what dead writers left: temporary folders without a live owner, and half-renamed links.
void remove_leftovers(const std::filesystem::path& checkpoints);
/// Renames the step's folder out of sight, then removes it, so that a kill in between leaves no half-deleted step_<n>.
void remove_step(const std::filesystem::path& checkpoints, std::int64_t step);

}  // namespace panther::runtime
