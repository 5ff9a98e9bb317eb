#pragma once
// What the fused update rules share: parameters with their state, seen as the list that one kernel call takes.
#include <span>
#include <string>
#include <vector>

#include "kernels/kernel_set.h"
#include "runtime/optim/optimizer.h"

namespace panther::runtime {

class FusedUpdate {
 public:
  /// Allocates `moments` (0, 1 or 2) zeroed tensors per parameter. Throws as make_optimizer.
  FusedUpdate(std::vector<ParameterInfo> parameters, double weight_decay, int moments);

  /// The list for this step: gradients are looked up again, since buckets and zero_grad may move them; parameters without one are left out.
  std::span<const OptimizerTensor> refresh(double lr);
  /// After the kernel wrote the parameters: autograd notices that saved tensors are stale.
  void mark_written();
  /// "<parameter>.<suffix>" for each moment.
  NamedTensors state(const std::vector<std::string>& suffixes) const;
  const KernelSet& kernels() const;
  Stream stream() const;

 private:
  struct Slot {
    ParameterInfo info;
    std::vector<at::Tensor> moments;
    at::Tensor gradient_copy;  ///< only for a gradient that is not contiguous
    OptimizerTensor views;
  };
  bool refresh_gradient(Slot& slot);

  std::vector<Slot> slots_;
  std::vector<OptimizerTensor> list_;
  std::vector<std::size_t> listed_;  ///< slots in list_
  double weight_decay_;
};

}  // namespace panther::runtime
