#pragma once
// Data sets: indexable samples, the order in which they are seen, and the thread that prepares them.
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "core/config_file.h"
#include "core/registry.h"
#include "runtime/data/batch.h"
#include "runtime/data/shape.h"
#include "runtime/export.h"

namespace panther::runtime {

struct PANTHER_RUNTIME_API DataConfig {
  std::string kind = "bytes";          ///< bytes | synthetic | csv
  std::string path;                    ///< file or folder
  std::int64_t seq_len = 128;          ///< tokens per sample (bytes)
  double val_fraction = 0.1;           ///< share of files (or rows) for validation, by a hash of path (or row); 0 = none
  std::string extensions;              ///< bytes: comma-separated suffixes to read, "" = all text files
  std::string target;                  ///< csv: target column, "" = the last one
  std::string task = "classification"; ///< csv, synthetic: classification | regression
  std::int64_t samples = 4096;         ///< synthetic: rows
  std::int64_t features = 64;          ///< synthetic
  std::int64_t classes = 10;           ///< synthetic
  bool prefetch = true;
  void fields(FieldVisitor& v);
};

/// A sample of an epoch. `position` counts samples since the start of training and never repeats.
struct SampleRef {
  std::int64_t epoch = 0;
  std::int64_t index = 0;
  std::int64_t position = 0;
};

/// Thread-safe for reading.
class PANTHER_RUNTIME_API Dataset {
 public:
  virtual ~Dataset();
  virtual std::int64_t size() const = 0;             ///< samples per epoch, > 0
  virtual DataShape shape() const = 0;
  virtual Batch collate(std::span<const SampleRef> samples) const = 0;
  virtual std::string summary() const = 0;           ///< "813 files, 9.6 MiB, 78 640 windows of 128"
};

/// What tables say of validation where there is no data for it.
inline constexpr const char* kNothingHeldOut = "- (data.val_fraction = 0: nothing is held out)";

struct Datasets {
  std::shared_ptr<Dataset> train;
  std::shared_ptr<Dataset> validation;  ///< nullptr when data.val_fraction is 0
};
struct DatasetFactory {
  Datasets (*make)(const DataConfig&, std::uint64_t seed, const ConfigOrigin&);
};
using DatasetRegistry = Registry<DatasetFactory>;
/// The kinds of data: bytes, csv, synthetic (runtime/data/family/).
PANTHER_RUNTIME_API const DatasetRegistry& dataset_registry();

/// Throws InvalidArgument naming key, place and remedy (missing or empty path, binary file, fewer bytes than a sequence).
PANTHER_RUNTIME_API Datasets make_datasets(const DataConfig& config, std::uint64_t seed, const ConfigOrigin& origin);

/// The sample at a global position: epoch = position / size, index = a keyed pseudo-random permutation of the rest
/// (exactly once per epoch, nothing stored, the same for any world size). Pure.
PANTHER_RUNTIME_API SampleRef sample_at(std::uint64_t seed, std::int64_t dataset_size, std::int64_t position);

/// Contiguous share of `total` items for one rank: the first total % world ranks get one more. Pure.
struct Share {
  std::int64_t begin = 0;
  std::int64_t count = 0;
};
PANTHER_RUNTIME_API Share share_of(std::int64_t total, int world_size, int rank);

/// This rank's part of one global batch, cut into micro-batches of near equal size (some may be empty).
struct StepBatch {
  std::vector<Batch> micro;
  std::int64_t global_targets = 0;   ///< targets of the whole global batch, over all ranks
  std::int64_t local_targets = 0;    ///< targets of this rank's share
  std::int64_t next_position = 0;    ///< the cursor after this step
  double wait_seconds = 0;           ///< time the caller waited for it
};

struct LoaderOptions {
  std::uint64_t seed = 0;
  std::int64_t global_batch = 8;
  std::int64_t accumulate = 1;
  int rank = 0;
  int world_size = 1;
  std::int64_t position = 0;         ///< cursor to start from
  at::Device device = at::kCPU;      ///< batches are pinned and copied there
  bool prefetch = true;
};

/// Prepares batches, on a thread of its own with prefetch. One caller. Every rank gets `accumulate` micro-batches.
class PANTHER_RUNTIME_API Loader {
 public:
  /// Throws InvalidArgument when the global batch has fewer samples than there are ranks.
  Loader(std::shared_ptr<const Dataset> dataset, const LoaderOptions& options);
  ~Loader();
  Loader(const Loader&) = delete;
  Loader& operator=(const Loader&) = delete;
  /// Waits for the next batch and rethrows what went wrong while preparing it.
  StepBatch next();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace panther::runtime
