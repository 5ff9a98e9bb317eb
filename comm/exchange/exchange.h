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
#include "comm/exchange/auto_settings.h"
#include "comm/exchange/bucket_plan.h"
#include "comm/exchange/codec.h"
#include "comm/export.h"
#include "core/fields.h"
#include "kernels/allocator.h"

namespace panther::comm {

struct PANTHER_COMM_API ExchangeConfig {
  std::string codec = "none";              ///< wire format, a name of codec_registry() or "auto"; docs/codecs.md
  std::int64_t bucket_bytes = 4 << 20;
  std::int64_t first_bucket_bytes = 256 << 10;
  std::int64_t last_bucket_bytes = 0;      ///< BucketLimits::last_bytes
  bool checked = false;                    ///< CRC-32C and contribution count per message (comm/exchange/integrity.h says what they see)
  CodecSettings settings = {};
  AutoSettings automatic = {};             ///< of "auto"
  std::vector<int> nodes = {};             ///< node of each rank: two levels (comm/exchange/node_levels.h); empty: one
  bool inner_half = false;                 ///< bf16 inside a node
};

/// Elements that the control word takes behind the gradients of the first bucket; comm/exchange/control_tail.h is the format. It is
/// exact in every floating dtype and on the wires `none` and `half`: the loss loses no bit.
PANTHER_COMM_API std::int64_t control_elements(int ranks);
/// The limits that make plan_buckets() leave the room an Exchange among `ranks` ranks needs.
PANTHER_COMM_API BucketLimits bucket_limits(const ExchangeConfig& config, int ranks);

/// Travels with every step so that all ranks decide alike. Reduced by "any rank".
struct ControlWord {
  bool stop = false;
  bool checkpoint = false;
  bool nonfinite = false;
};

/// One bucket of one step. Seconds are host seconds on the communication thread; on CUDA those of queueing.
struct BucketReport {
  std::string codec;
  std::int64_t bytes_planned = 0;          ///< what the codec's stages take at most
  std::int64_t bytes_sent = 0;
  double ready_seconds = 0;                ///< after begin()
  double encode_seconds = 0;
  double collective_seconds = 0;
  double decode_seconds = 0;
  double exposed_seconds = 0;              ///< of it, after backward: the step waited for this bucket
  std::int64_t elements = 0;               ///< gradients in it
  CodecHealth health = {};                 ///< looked at every 16 steps
};

/// What one step sent and waited for.
struct ExchangeReport {
  ControlWord control;                     ///< of all ranks together
  double loss_sum = 0;                     ///< summed over ranks
  std::int64_t contributions = 0;          ///< ranks that took part: size(), or finish() throws Corrupt
  std::int64_t bytes_sent = 0;             ///< by this rank, predicted from the pinned algorithms
  std::int64_t bytes_inside = 0;           ///< of these, to ranks of its node; 0 with one level
  std::int64_t bytes_dense_f32 = 0;        ///< what the same gradients cost uncompressed in f32
  double collective_seconds = 0;           ///< communication thread busy; on CUDA first to last message, of the step before
  double exposed_seconds = 0;              ///< the caller waited in finish()
  std::int64_t collectives = 0;
  double backward_seconds = 0;             ///< from begin() to finish()
  std::vector<BucketReport> buckets;       ///< in issue order; empty with one rank
  std::vector<int> nonfinite_ranks;        ///< brought nan or inf (control.nonfinite): known by their loss and, after a first such step, by their gradients
  std::string nonfinite_parameter;         ///< the first gradient in issue order that is not finite; empty: none, or buckets on a GPU
  std::vector<std::string> plan;           ///< rank 0, when "auto" planned before this step: a sentence for each bucket
};

/// Owned by the training thread. begin -> set_control -> mark_ready (any thread, any order) -> finish, once per step.
///
/// CPU: the collectives run on the communication thread, beside backward. CUDA: that thread queues them on a stream of the
/// exchange's own, behind an event recorded when a bucket became full; finish() makes the compute stream wait for the sums, and the
/// host only for the control word. With one rank there is no thread and nothing is encoded: gradients stay as computed.
///
/// What the communication thread threw comes out of finish(), of later begin() too: the exchange is then dead. Every failure but
/// a verdict of checked mode, which all ranks reach together, aborts the collective, so that no peer waits for this rank; so does
/// destruction between begin() and finish() (an exception in backward).
///
/// With the codec "auto" a link and codecs are measured, rank 0 chooses a codec for each bucket (comm/exchange/planner.h) and all ranks switch
/// between two steps: residuals go on in the next codec, or are added to the next gradient where it has none.
class PANTHER_COMM_API Exchange {
 public:
  /// `buckets[i]` is the flat gradient memory of plan bucket i, plan.buckets[i].numel long, tail included. `timeout` bounds every
  /// collective. Collective, kernels, allocator and memory must outlive this. Throws InvalidArgument for memory that does not fit the
  /// plan, unknown codecs and settings that do not fit; Unsupported for codecs without kernels on the buckets' device.
  Exchange(Collective& collective, const KernelSet& kernels, Allocator& allocator, BucketPlan plan, std::vector<TensorView> buckets,
           const ExchangeConfig& config, std::chrono::nanoseconds timeout, const CodecRegistry& codecs = codec_registry());
  ~Exchange();
  Exchange(const Exchange&) = delete;
  Exchange& operator=(const Exchange&) = delete;

  /// Opens a step. `compute_stream` is where gradients are being produced.
  void begin(Stream compute_stream);
  /// Sets what travels with the first bucket (default: no flag, loss 0); call before that bucket can be full (before backward).
  /// Throws InvalidArgument when it is on its way already.
  void set_control(ControlWord control, double loss_sum);
  /// Gradient `slot` is final for this step. Throws InvalidArgument for an unknown slot, a second time, or outside a step.
  void mark_ready(std::int64_t slot);
  /// Marks what was not marked (parameters without gradient count as zeros), waits for all buckets. Throws what the collective
  /// threw; Corrupt when a rank's contribution is missing or, in checked mode, a message was damaged.
  ///
  /// When a rank's gradient held nan or inf that a codec saw, or a rank said so with set_control(), the report's control says
  /// `nonfinite` and codecs have forgotten the step: residuals and warm starts are those of the step before, on every rank.
  ExchangeReport finish();
  /// After finish(): the caller does not apply the step (its norm is not finite, say), so codecs forget it too. All ranks alike.
  /// A step that is neither rejected nor non-finite is committed by the next begin(), save_state() or load_state().
  /// Gives the name of the first gradient that is not finite; "" where all are, with one rank, and on a GPU.
  std::string reject_step();

  /// State of the codecs, by parameter names; between steps. Every rank has its own (residuals); with one rank there is none. A codec
  /// goes on from loaded state with the same bits, whatever the buckets are now; parameters without saved state start fresh.
  void save_state(const StateSink& put) const;
  /// All ranks together. Throws InvalidArgument on all of them when what ranks must share (steps, factors) differs after loading.
  void load_state(const StateSource& get);
  /// Ranks that hold residuals and factors: one of each node with two levels, else all.
  int state_holders() const;
  /// True when there is nothing worth saving: every codec is stateless, or there is one rank.
  bool stateless() const;

  /// Called around each collective for timelines: (name, bucket, begin?), on the communication thread; set it between steps.
  std::function<void(const char*, std::int64_t, bool)> trace;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// Bytes that rank 0 of `ranks` sends in a step of this plan, mean of two steps (powersgd alternates), as a ring counts them and without checked
/// mode: what a plan can tell before there is a collective. Codecs that look at the gradients first (row_sparse) may send less. Throws what
/// an Exchange throws for settings that do not fit.
PANTHER_COMM_API std::int64_t planned_bytes_sent(const BucketPlan& plan, const ExchangeConfig& config, Allocator& allocator, int ranks);

/// Collective. Throws the same InvalidArgument on all ranks naming both values when a 64-bit digest (parameters, sketch seeds, configuration, binary) differs between
/// ranks: the message names the rank and the `what`.
PANTHER_COMM_API void require_equal_digests(Collective& collective, const std::vector<std::pair<std::string, std::uint64_t>>& digests,
                                            Deadline deadline);

}  // namespace panther::comm
