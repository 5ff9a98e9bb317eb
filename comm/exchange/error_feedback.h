#pragma once
// Error feedback (EF14; Seide et al. 2014, Karimireddy et al. 2019, arXiv 1901.09847): v = g + e is compressed instead of g, and what
// compression lost, e' = v - C(v), waits for the next step. It makes biased compressors converge; nothing is lost, it comes late.
//
// Gradients are those of the step, not scaled by the learning rate, so momentum and Adam see the compressed sum as they saw the dense
// one. A sudden change of the learning rate applies old losses at the new rate.
//
// Guard: a compressor with ||v - C(v)||^2 <= (1 - d) ||v||^2 keeps ||e|| below about 2 ||g|| / d. Where the residual grows beyond
// residual_limit ||g|| / d (a warm start that went wrong, gradients that vanish), it is scaled down to that: looked at every
// kGuardPeriod steps, by each rank for itself, because residuals are a rank's own.
#include "comm/exchange/part_state.h"
#include "comm/exchange/reported_values.h"
#include "kernels/pack/pack_kernels.h"

namespace panther::comm {

/// A residual is saved as "<parameter>/residual".
inline constexpr const char* kResidual = "/residual";

class ErrorFeedback {
 public:
  static constexpr std::int64_t kGuardPeriod = 16;

  /// `contraction` is the compressor's d. Without settings.error_feedback there is no residual and nothing is kept.
  ErrorFeedback(const BucketParts& parts, const CodecSettings& settings, double contraction, Allocator& allocator);

  bool enabled() const noexcept { return state_.enabled(); }
  /// The residual that this step adds, and memory for the one it leaves; f32, as long as the part. Null when not enabled.
  const float* residual(const CompressedPart& part) const noexcept { return state_.current(part); }
  float* next(const CompressedPart& part) const noexcept { return state_.next(part); }

  /// Before the step changes the gradients and after next() is complete: the guard.
  void before(const CodecCall& call);
  void after(const CodecCall& call);

  /// True where the guard looks.
  bool guards(const CodecCall& call) const noexcept { return enabled() && call.step % kGuardPeriod == 0; }
  /// What the guard saw last; on a device, what has arrived of it.
  CodecHealth health() const noexcept;

  /// next() becomes residual().
  void commit() noexcept { state_.commit(); }
  void save(const StateSink& put) const { state_.save(put); }
  void load(const StateSource& get) { state_.load(get); }

 private:
  void add_energy(const float* gradient, const float* waiting, const CompressedPart& part, std::size_t to, const CodecCall& call) const;

  const BucketParts& parts_;
  const PackKernels& kernels_;
  double bound_;                 // of ||e|| / ||g||
  PartState state_;
  ReportedValues energies_;
  Workspace scratch_;
};

}  // namespace panther::comm
