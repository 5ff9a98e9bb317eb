// Stochastic gradient descent with momentum (PyTorch's form: v = momentum v + g) and decoupled weight decay.
#include "core/error.h"
#include "runtime/optim/fused_update.h"

namespace panther {
namespace runtime {
namespace {

class Sgd final : public Optimizer {
 public:
  Sgd(const OptimConfig& config, std::vector<ParameterInfo> parameters)
      : config_(config), update_(std::move(parameters), config.weight_decay, config.momentum > 0 ? 1 : 0) {
    PANTHER_REQUIRE(!config.nesterov || config.momentum > 0, "optim.nesterov = true needs optim.momentum above 0");
  }

  void step(double lr, double gradient_scale) override {
    ++steps_taken_;
    const auto tensors = update_.refresh(lr);
    update_.kernels().sgd(tensors, {.momentum = config_.momentum, .nesterov = config_.nesterov, .gradient_scale = gradient_scale},
                          update_.stream());
    update_.mark_written();
  }

  NamedTensors state() override { return update_.state(moments()); }
  std::vector<std::string> moments() const override { return config_.momentum > 0 ? std::vector<std::string>{"momentum"} : std::vector<std::string>{}; }

 private:
  OptimConfig config_;
  FusedUpdate update_;
};

std::unique_ptr<Optimizer> make_sgd(const OptimConfig& config, std::vector<ParameterInfo> parameters) {
  return std::make_unique<Sgd>(config, std::move(parameters));
}

}  // namespace
}  // namespace runtime

void register_sgd(runtime::OptimizerRegistry& registry) { registry.add("sgd", {&runtime::make_sgd}); }

}  // namespace panther
