#pragma once
// An average of the parameters over the steps, which often generalises better than the last ones (Polyak, Juditsky 1992).
#include <vector>

#include "runtime/optim/optimizer.h"

namespace panther::runtime {

/// average <- d average + (1 - d) value with d = min(decay, (1 + n) / (10 + n)) at update n, so that the first steps are forgotten early. Sketched
/// weights are linear in what is trained: the average of their factors is the average of the weights.
class PANTHER_RUNTIME_API ParameterAverage {
 public:
  ParameterAverage(const std::vector<ParameterInfo>& parameters, double decay);
  /// `updates` were made before; `values` by slot of the parameters.
  void update(const std::vector<at::Tensor>& values, std::int64_t updates);
  /// Of the trained parameters, by slot.
  const std::vector<ParameterInfo>& parameters() const { return parameters_; }
  const std::vector<at::Tensor>& values() const { return values_; }
  /// By the parameters' names; tensors share memory with the average.
  NamedTensors state() const;

 private:
  std::vector<ParameterInfo> parameters_;
  std::vector<at::Tensor> values_;
  double decay_;
};

/// The weight of the average at update `updates`. Pure.
PANTHER_RUNTIME_API double average_decay(double decay, std::int64_t updates);

}  // namespace panther::runtime
