#pragma once
// Update rules. State is keyed by parameter name, so it survives re-bucketing and checkpoints.
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "core/fields.h"
#include "core/registry.h"
#include "runtime/export.h"
#include "runtime/layers/layer.h"

namespace panther::runtime {

struct PANTHER_RUNTIME_API OptimConfig {
  std::string kind = "adamw";
  double lr = 3e-3;
  double weight_decay = 0.1;
  double clip = 1.0;            ///< largest global gradient norm; 0 = off
  double beta1 = 0.9;
  double beta2 = 0.95;
  double epsilon = 1e-8;
  double momentum = 0.9;        ///< sgd
  bool nesterov = false;        ///< sgd
  std::int64_t max_nonfinite = 10;  ///< skipped steps in a row before NonFinite
  void fields(FieldVisitor& v);
};

using NamedTensors = std::vector<std::pair<std::string, at::Tensor>>;

class PANTHER_RUNTIME_API Optimizer {
 public:
  virtual ~Optimizer();
  /// Applies the gradients in `tensor.grad()` of every parameter, multiplied by gradient_scale first. A parameter without a gradient
  /// keeps its value and its state. `lr` is the scheduled rate; each parameter's lr_scale multiplies it.
  virtual void step(double lr, double gradient_scale) = 0;
  /// "<parameter>.m", "<parameter>.v" (adamw), "<parameter>.momentum" (sgd); tensors share memory with the state.
  virtual NamedTensors state() = 0;
  /// What stands behind the parameter's name there: one tensor of its shape each.
  virtual std::vector<std::string> moments() const = 0;
  std::int64_t steps_taken() const { return steps_taken_; }
  void set_steps_taken(std::int64_t steps) { steps_taken_ = steps; }

 protected:
  std::int64_t steps_taken_ = 0;
};

struct OptimizerFactory {
  std::unique_ptr<Optimizer> (*make)(const OptimConfig&, std::vector<ParameterInfo>);
};
using OptimizerRegistry = Registry<OptimizerFactory>;
/// The update rules: adamw, sgd (runtime/optim/family/).
PANTHER_RUNTIME_API const OptimizerRegistry& optimizer_registry();
/// The parameters' tensors are shared, contiguous, all f32 or f64 and on one device. Throws InvalidArgument or Unsupported naming the parameter.
PANTHER_RUNTIME_API std::unique_ptr<Optimizer> make_optimizer(const OptimConfig& config, std::vector<ParameterInfo> parameters);

/// Global 2-norm of tensors of one device in f64 (one fused pass; one host synchronisation on CUDA); nan or inf when any element is.
PANTHER_RUNTIME_API double norm_of(const std::vector<at::Tensor>& tensors);
/// norm_of() all gradients.
PANTHER_RUNTIME_API double gradient_norm(const std::vector<ParameterInfo>& parameters);
/// Factor that clips `norm` to `clip`; 1 when off or below, and for a norm that is not finite (such a step is skipped). Pure.
PANTHER_RUNTIME_API double clip_scale(double norm, double clip);

}  // namespace panther::runtime
