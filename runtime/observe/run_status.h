#pragma once
// How a run is doing, in one small file of its folder that `panther status` reads: status.json, replaced about once a second.
#include <cstdint>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "comm/exchange/exchange.h"
#include "runtime/export.h"

namespace panther::runtime {

/// What status.json holds; docs/operating.md names its keys. Seconds since 1970 where a time is meant.
struct RunStatus {
  std::string state = "running";     ///< running | finished | stopped (on request, with a checkpoint)
  double started = 0;
  double updated = 0;
  std::int64_t first_step = 0;
  std::int64_t step = 0;
  std::int64_t steps = 0;
  int ranks = 1;
  std::string backend;
  std::string exchange;              ///< comm.exchange
  double loss = 0;
  double learning_rate = 0;
  double gradient_norm = 0;
  double tokens_per_second = 0;
  std::string unit = "tokens";
  double eta_seconds = -1;           ///< negative: not known yet
  double data_seconds = 0, forward_seconds = 0, backward_seconds = 0, exposed_seconds = 0, optimizer_seconds = 0;  ///< of the last step
  std::int64_t bytes_sent = 0;       ///< by rank 0 in the last exchange
  std::int64_t bytes_inside = 0;
  std::int64_t bytes_dense_f32 = 0;
  std::int64_t memory_bytes = 0;
  std::int64_t skipped = 0;
  std::int64_t checkpoint_step = -1;
  double checkpoint_time = 0;
  std::vector<std::pair<std::int64_t, double>> validation;  ///< step and loss, the last 64
  std::vector<comm::BucketReport> buckets;
  std::int64_t plan_step = -1;       ///< when exchange = "auto" decided last
  std::vector<std::string> plan;     ///< a sentence for each bucket
};

/// One JSON object. Pure.
PANTHER_RUNTIME_API std::string status_json(const RunStatus& status, const std::string& host, std::int64_t pid);

/// Writes status.json, whole at every time. What cannot be written is not: a full disk is the checkpoint's to report.
class PANTHER_RUNTIME_API StatusFile {
 public:
  explicit StatusFile(const std::filesystem::path& run_folder);
  /// True about once a second.
  bool due() const;
  /// Fills in `updated`.
  void write(RunStatus& status);

 private:
  std::filesystem::path path_;
  std::string host_;
  double last_ = 0;
};

}  // namespace panther::runtime
