#pragma once
// Data parallelism for any torch module: gradients live in bucket views, hooks on them feed the exchange during backward.
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "comm/collective.h"
#include "comm/exchange/exchange.h"
#include "comm/exchange/node_levels.h"
#include "runtime/export.h"
#include "runtime/layers/layer.h"
#include "runtime/optim/optimizer.h"
#include "runtime/parallel/local_schedule.h"

namespace panther::runtime {

/// `[comm]` of the configuration.
struct PANTHER_RUNTIME_API CommConfig {
  std::string backend = "auto";
  std::string exchange = "none";           ///< docs/codecs.md
  std::int64_t bucket_bytes = 0;           ///< 0 = from the gradients' size (comm/exchange/bucket_plan.h)
  std::int64_t first_bucket_bytes = 0;
  bool checked = false;
  bool deterministic = false;              ///< sums in rank order
  bool shard_optimizer = false;            ///< runtime/parallel/sharded_parameters.h
  std::int64_t verify_every = 0;           ///< steps between algebraic checks of sketched layers' gradients; 0: never
  double timeout_seconds = 300;
  std::string interface_address;           ///< tcp and gloo: address or interface to bind
  comm::CodecSettings codec;
  comm::AutoSettings automatic;            ///< section `auto`
  LocalConfig local;
  comm::HierarchyConfig hierarchy;
  void fields(FieldVisitor& v);
};

/// One per model; training thread only. With one rank nothing is sent, and the same code path runs.
///
/// Gradients live in the buckets that are sent. Layers that ask for gradient_memory() compute their first gradient of a step there; others'
/// are copied once, and later passes add in place. A parameter's gradient is final when its `backward_passes`-th backward pass has added
/// to it; parameters that some pass did not reach count in finish(), as zeros where no pass did. Buffers (fixed signs, running statistics) are
/// never sent.
class PANTHER_RUNTIME_API GradientSync {
 public:
  /// Replaces every trained parameter's `.grad()` by a view of a bucket and installs hooks; frozen ones are left alone. All ranks
  /// construct it together. The collective must outlive this. Throws InvalidArgument when ranks have other parameters or
  /// settings, for parameters on several devices, and for a second GradientSync on a model.
  GradientSync(std::vector<ParameterInfo> parameters, comm::Collective& collective, const CommConfig& config);
  /// In an open step (an exception in backward) this aborts the collective: the other ranks get PeerLost instead of waiting.
  ~GradientSync();

  /// Forgets the gradients (`.grad()` is undefined until backward has computed it) and opens a step whose gradients come from `backward_passes` backward calls (explicit accumulation):
  /// the exchange starts during the last one. 0: this rank has no samples in this step and contributes zeros.
  void begin_step(int backward_passes);
  /// Flags and the local loss that travel with the first bucket; before the last backward.
  void set_control(comm::ControlWord control, double loss_sum);
  /// Waits until every gradient is the sum over ranks. Throws what the exchange throws (comm/exchange/exchange.h), and
  /// InvalidArgument when a gradient is no longer in its bucket.
  comm::ExchangeReport finish();
  /// The step is not applied, on any rank: codecs forget it. As Exchange::reject_step().
  std::string reject_step();

  /// Exchange::state_holders().
  int state_holders() const;
  /// True when there is no codec state worth saving (comm/exchange/codec.h).
  bool stateless() const;
  /// This rank's codec state, between steps: host tensors of their own.
  NamedTensors codec_state() const;
  /// All ranks together; what is not in `state` starts fresh. Throws InvalidArgument for other sizes, and on all ranks when what they must
  /// share differs.
  void load_codec_state(const std::map<std::string, at::Tensor>& state);

  const comm::BucketPlan& plan() const;
  /// Memory of the gradients, by bucket of the plan.
  const std::vector<at::Tensor>& memory() const;
  /// Called around each collective on the communication thread: (name, bucket or -1, begin?). Between steps only.
  void set_trace(std::function<void(const char*, std::int64_t, bool)> trace);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// Bytes that a rank sends per step, as far as a plan can tell (comm/exchange/exchange.h). Throws InvalidArgument for settings that do not fit.
PANTHER_RUNTIME_API std::int64_t planned_bytes_sent(const std::vector<ParameterInfo>& parameters, const CommConfig& config, int ranks);

/// Elements of which a rank's optimizer keeps state: all trained ones, or fewer with `shard_optimizer`. Pure.
PANTHER_RUNTIME_API std::int64_t optimizer_elements(const std::vector<ParameterInfo>& parameters, const CommConfig& config, int ranks);

/// What exchange = "auto" would choose for these gradients on a link of `megabits` per second: one candidate per bucket, with the reasons.
struct LinkPlan {
  std::vector<std::string> codecs;
  std::vector<std::string> why;
  std::int64_t bytes_sent = 0;
  double exchange_seconds = 0;             ///< with nothing hidden behind backward
};
PANTHER_RUNTIME_API LinkPlan plan_for_link(const std::vector<ParameterInfo>& parameters, const CommConfig& config, int ranks, double megabits);

/// Copies rank 0's parameters to all (used when ranks may differ, e.g. after loading on rank 0 only).
PANTHER_RUNTIME_API void broadcast_parameters(const std::vector<ParameterInfo>& parameters, comm::Collective& collective, comm::Deadline deadline);
/// 64-bit digest of names, shapes and bits of the parameters.
PANTHER_RUNTIME_API std::uint64_t parameter_digest(const std::vector<ParameterInfo>& parameters);

}  // namespace panther::runtime
