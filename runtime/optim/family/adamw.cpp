// Adam with decoupled weight decay (Loshchilov, Hutter, arXiv 1711.05101), PyTorch's order of operations, one fused call over all parameters.
#include "runtime/optim/fused_update.h"

namespace panther {
namespace runtime {
namespace {

class AdamW final : public Optimizer {
 public:
  AdamW(const OptimConfig& config, std::vector<ParameterInfo> parameters)
      : config_(config), update_(std::move(parameters), config.weight_decay, 2) {}

  void step(double lr, double gradient_scale) override {
    ++steps_taken_;
    const auto tensors = update_.refresh(lr);
    update_.kernels().adamw(tensors, {.beta1 = config_.beta1, .beta2 = config_.beta2, .epsilon = config_.epsilon, .step = steps_taken_,
                                      .gradient_scale = gradient_scale}, update_.stream());
    update_.mark_written();
  }

  NamedTensors state() override { return update_.state(moments()); }
  std::vector<std::string> moments() const override { return {"m", "v"}; }

 private:
  OptimConfig config_;
  FusedUpdate update_;
};

std::unique_ptr<Optimizer> make_adamw(const OptimConfig& config, std::vector<ParameterInfo> parameters) {
  return std::make_unique<AdamW>(config, std::move(parameters));
}

}  // namespace
}  // namespace runtime

void register_adamw(runtime::OptimizerRegistry& registry) { registry.add("adamw", {&runtime::make_adamw}); }

}  // namespace panther
