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
#include "comm/exchange/bucket_parts.h"

namespace panther::comm {

/// A residual is saved as "<parameter>/residual".
inline constexpr const char* kResidual = "/residual";

class ErrorFeedback {
 public:
  static constexpr std::int64_t kGuardPeriod = 16;

  /// `contraction` is the compressor's d. Without settings.error_feedback there is no residual and nothing is kept.
  ErrorFeedback(const BucketParts& parts, const CodecSettings& settings, double contraction, Allocator& allocator);

  bool enabled() const noexcept { return enabled_; }
  /// The residual that this step adds, and memory for the one it leaves; f32, as long as the part. Null when not enabled.
  const float* residual(const CompressedPart& part) const noexcept { return enabled_ ? current() + part.start : nullptr; }
  float* next(const CompressedPart& part) const noexcept { return enabled_ ? other() + part.start : nullptr; }

  /// Before the step changes the gradients and after next() is complete: the guard.
  void before(const CodecCall& call);
  void after(const CodecCall& call);

  /// True where the guard looks.
  bool guards(const CodecCall& call) const noexcept { return enabled_ && call.step % kGuardPeriod == 0; }
  /// What the guard saw last.
  CodecHealth health() const noexcept { return health_; }

  /// next() becomes residual().
  void commit() noexcept { flipped_ = !flipped_; }
  void save(const StateSink& put) const;
  void load(const StateSource& get);

 private:
  float* half(bool second) const noexcept { return static_cast<float*>(memory_.data()) + (second ? parts_.compressed_numel() : 0); }
  float* current() const noexcept { return half(flipped_); }
  float* other() const noexcept { return half(!flipped_); }

  const BucketParts& parts_;
  bool enabled_ = false;
  double bound_ = 0;             // of ||e|| / ||g||
  Workspace memory_;
  bool flipped_ = false;
  double gradient_squared_ = 0;
  double sum_squared_ = 0;       // of gradient and residual
  CodecHealth health_;
};

}  // namespace panther::comm
