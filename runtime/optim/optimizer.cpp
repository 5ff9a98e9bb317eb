#include "runtime/optim/optimizer.h"

#include <cmath>

#include "core/fields.h"
#include "runtime/tensor/view_of.h"

namespace panther {
void register_optimizer_family(runtime::OptimizerRegistry& registry);
}

namespace panther::runtime {

Optimizer::~Optimizer() = default;

const OptimizerRegistry& optimizer_registry() {
  static const OptimizerRegistry registry = [] {
    OptimizerRegistry family("optim.kind");
    register_optimizer_family(family);
    return family;
  }();
  return registry;
}

void OptimConfig::fields(FieldVisitor& v) {
  v.field("kind", kind, {.help = "update rule", .choices = optimizer_registry().names()});
  v.field("lr", lr, {.help = "peak learning rate", .min = 0});
  v.field("weight_decay", weight_decay, {.help = "decoupled decay of matrices (not of biases and norms)", .min = 0});
  v.field("clip", clip, {.help = "largest global gradient norm, 0 = off", .min = 0});
  v.field("beta1", beta1, {.help = "adamw: memory of the first moment", .min = 0, .max = 0.999999});
  v.field("beta2", beta2, {.help = "adamw: memory of the second moment", .min = 0, .max = 0.999999999});
  v.field("epsilon", epsilon, {.help = "adamw: added to the denominator", .min = 0});
  v.field("momentum", momentum, {.help = "sgd: memory of the velocity, 0 = none", .min = 0, .max = 0.999999});
  v.field("nesterov", nesterov, {.help = "sgd: Nesterov's form of momentum"});
  v.field("max_nonfinite", max_nonfinite, {.help = "steps in a row with nan or inf gradients before the run stops", .unit = "steps", .min = 1});
}

std::unique_ptr<Optimizer> make_optimizer(const OptimConfig& config, std::vector<ParameterInfo> parameters) {
  return optimizer_registry().at(config.kind).make(config, std::move(parameters));
}

double norm_of(const std::vector<at::Tensor>& tensors) {
  if (tensors.empty()) return 0;
  std::vector<TensorView> views;
  views.reserve(tensors.size());
  for (const at::Tensor& tensor : tensors) views.push_back(view_of(tensor));
  const at::Tensor sum = at::empty({1}, tensors.front().options().dtype(at::kDouble));
  const Device device = views.front().device;
  runtime_kernels(device.kind).sum_of_squares(views, view_of(sum), current_stream(device));
  return std::sqrt(sum.item<double>());
}

double gradient_norm(const std::vector<ParameterInfo>& parameters) {
  std::vector<at::Tensor> gradients;
  for (const ParameterInfo& parameter : parameters) {
    if (parameter.tensor.grad().defined()) gradients.push_back(parameter.tensor.grad().detach());
  }
  return norm_of(gradients);
}

double clip_scale(double norm, double clip) {
  return clip > 0 && norm > clip && std::isfinite(norm) ? clip / norm : 1.0;
}

}  // namespace panther::runtime
