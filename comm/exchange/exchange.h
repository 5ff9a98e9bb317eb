#pragma once
// One step's gradient exchange: buckets issued in plan order by one communication thread (or stream), whatever the order of
// readiness, overlapping with backward.
#include <cstdint>
#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "comm/collective.h"
#include "comm/exchange/bucket_plan.h"
#include "comm/exchange/codec.h"
#include "comm/export.h"
#include "core/fields.h"
#include "kernels/allocator.h"

namespace panther::comm {

struct PANTHER_COMM_API ExchangeConfig {
  std::string codec = "none";              ///< wire format: none (as computed) | half (bf16 wire, f32 sums)
  std::int64_t bucket_bytes = 4 << 20;
  std::int64_t first_bucket_bytes = 256 << 10;
  bool checked = false;                    ///< CRC-32C and contribution count per message
};

/// Travels with every step so that all ranks decide alike. Reduced by "any rank".
struct ControlWord {
  bool stop = false;
  bool checkpoint = false;
  bool nonfinite = false;
};

/// What one step sent and waited for.
struct ExchangeReport {
  ControlWord control;                     ///< of all ranks together
  double loss_sum = 0;                     ///< summed over ranks
  std::int64_t contributions = 0;          ///< ranks that took part (must be size())
  std::int64_t bytes_sent = 0;             ///< by this rank, predicted from the pinned algorithms
  std::int64_t bytes_dense_f32 = 0;        ///< what the same gradients cost uncompressed in f32
  double collective_seconds = 0;           ///< communication thread busy
  double exposed_seconds = 0;              ///< the caller waited in finish()
  std::int64_t collectives = 0;
};

/// Owned by the training thread. begin -> mark_ready (any thread, any order) -> finish, once per step.
class PANTHER_COMM_API Exchange {
 public:
  /// `buckets[i]` is the flat gradient memory of plan bucket i. On CUDA, `comm_stream` is where collectives are queued.
  Exchange(Collective& collective, const KernelSet& kernels, Allocator& allocator, BucketPlan plan, std::vector<TensorView> buckets,
           const ExchangeConfig& config, std::chrono::nanoseconds timeout);
  ~Exchange();
  Exchange(const Exchange&) = delete;
  Exchange& operator=(const Exchange&) = delete;

  /// Opens a step. `compute_stream` is where gradients are being produced.
  void begin(Stream compute_stream);
  /// Sets what travels with the first bucket; call before that bucket can be full (before backward).
  void set_control(ControlWord control, double loss_sum);
  /// Gradient `slot` is final for this step.
  void mark_ready(std::int64_t slot);
  /// Marks what was not marked (parameters without gradient count as zeros), waits for all buckets. Throws what the collective threw.
  ExchangeReport finish();

  /// Called around each collective for timelines: (name, bucket, begin?).
  std::function<void(const char*, std::int64_t, bool)> trace;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// Throws InvalidArgument naming both values when a 64-bit digest (parameters, sketch seeds, configuration, binary) differs between
/// ranks: the message names the rank and the `what`.
PANTHER_COMM_API void require_equal_digests(Collective& collective, const std::vector<std::pair<std::string, std::uint64_t>>& digests,
                                            Deadline deadline);

}  // namespace panther::comm
