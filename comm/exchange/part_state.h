#pragma once
// One f32 for every element of a bucket's compressed gradients, kept between steps in two phases: what a step makes of it becomes the
// state by commit() alone. Starts at zero; belongs to the parameters' names.
#include "comm/exchange/bucket_parts.h"

namespace panther::comm {

class PartState {
 public:
  /// Saved as "<parameter><suffix>". Not `wanted`: no memory, and null everywhere.
  PartState(const BucketParts& parts, const char* suffix, bool wanted, Allocator& allocator);

  bool enabled() const noexcept { return memory_.data() != nullptr; }
  /// As long as the part.
  float* current(const CompressedPart& part) const noexcept { return enabled() ? half(flipped_) + part.start : nullptr; }
  float* next(const CompressedPart& part) const noexcept { return enabled() ? half(!flipped_) + part.start : nullptr; }

  void commit() noexcept { flipped_ = !flipped_; }
  void save(const StateSink& put) const;
  void load(const StateSource& get);

 private:
  float* half(bool second) const noexcept { return static_cast<float*>(memory_.data()) + (second ? parts_.compressed_numel() : 0); }
  TensorView value_of(const CompressedPart& part) const;

  const BucketParts& parts_;
  const char* suffix_;
  Workspace memory_;
  bool flipped_ = false;
};

}  // namespace panther::comm
