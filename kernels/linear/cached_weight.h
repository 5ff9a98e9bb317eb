#pragma once
// W of a sketched layer, formed once for inference and kept until somebody says that the factors changed.
#include <memory>

#include "kernels/allocator.h"
#include "kernels/linear/sketched_linear.h"

namespace panther {

/// Not thread-safe. Factors that change under it are the caller's to report: call invalidate() after every optimizer step or load.
class PANTHER_KERNELS_API CachedWeight {
 public:
  explicit CachedWeight(Allocator& allocator) : allocator_(allocator) {}

  /// W_DO in the weights' dtype, formed now unless it is valid; memory is kept over invalidations while shape and dtype stay. The view
  /// is valid until the next call of get() or release(). Throws OutOfMemory.
  const TensorView& get(const LinearLaunch& launch, const SketchedLinearWeights& weights);
  bool valid() const noexcept { return valid_; }
  void invalidate() noexcept { valid_ = false; }
  void release() noexcept;

 private:
  Allocator& allocator_;
  std::unique_ptr<Workspace> memory_;
  TensorView view_;
  bool valid_ = false;
};

}  // namespace panther
