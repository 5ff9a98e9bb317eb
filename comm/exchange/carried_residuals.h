#pragma once
// Residuals whose codec is gone, because the plan changed or a checkpoint knew another: the next committed step takes them in.
#include <memory>
#include <string>
#include <vector>

#include "comm/exchange/error_feedback.h"
#include "kernels/allocator.h"
#include "kernels/kernel_set.h"

namespace panther::comm {

class CarriedResiduals {
 public:
  CarriedResiduals(const KernelSet& kernels, Allocator& allocator) : kernels_(kernels), allocator_(allocator) {}

  /// `residual`: the member's elements in f32, read by the kernels; kept in the bucket's dtype.
  void add(const CodecMember& member, const TensorView& bucket, const void* residual);
  /// Adds what waits for gradients of this bucket to them; it waits until clear().
  void add_to(const TensorView& bucket, Stream stream) const;
  void save(const StateSink& put) const;
  void clear() noexcept { residuals_.clear(); }

 private:
  struct Residual {
    std::string name;
    TensorView place;                     ///< in the bucket
    std::unique_ptr<Workspace> memory;
    TensorView value;
  };

  const KernelSet& kernels_;
  Allocator& allocator_;
  std::vector<Residual> residuals_;
};

}  // namespace panther::comm
