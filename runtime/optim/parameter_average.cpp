#include "runtime/optim/parameter_average.h"

#include <algorithm>

#include "core/error.h"

namespace panther::runtime {

double average_decay(double decay, std::int64_t updates) {
  const auto n = static_cast<double>(updates);
  return std::min(decay, (1 + n) / (10 + n));
}

ParameterAverage::ParameterAverage(const std::vector<ParameterInfo>& parameters, double decay) : decay_(decay) {
  for (const ParameterInfo& parameter : parameters) {
    if (!parameter.tensor.requires_grad()) continue;
    parameters_.push_back(parameter);
    values_.push_back(parameter.tensor.detach().clone());
  }
}

void ParameterAverage::update(const std::vector<at::Tensor>& values, std::int64_t updates) {
  PANTHER_CHECK(values.size() == values_.size(), values.size(), " values for ", values_.size(), " parameters");
  const at::NoGradGuard no_grad;
  const double weight = 1 - average_decay(decay_, updates);
  for (std::size_t slot = 0; slot < values.size(); ++slot) values_[slot].lerp_(values[slot], weight);
}

NamedTensors ParameterAverage::state() const {
  NamedTensors state;
  for (std::size_t slot = 0; slot < values_.size(); ++slot) state.emplace_back(parameters_[slot].name, values_[slot]);
  return state;
}

}  // namespace panther::runtime
