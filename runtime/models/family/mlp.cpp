// A multi-layer perceptron over rows of features. Parameters: hidden.<i> (linear), head (linear).
#include <ATen/ops/mse_loss.h>
#include <ATen/ops/relu.h>

#include "core/error.h"
#include "runtime/layers/dropout.h"
#include "runtime/layers/gelu.h"
#include "runtime/layers/mlp.h"
#include "runtime/models/model.h"

namespace panther::runtime {
namespace {

struct Hidden final : torch::nn::Module {
  std::vector<std::shared_ptr<Linear>> items;
};

class Perceptron final : public Model {
 public:
  Perceptron(const ModelConfig& config, const DataShape& shape, const BuildContext& context)
      : regression_(shape.regression), dtype_(context.dtype), activation_(parse_activation(config.mlp)) {
    hidden_ = register_module("hidden", std::make_shared<Hidden>());
    std::int64_t inputs = shape.features;
    for (std::int64_t i = 0; i < config.layers; ++i) {
      const std::string name = std::to_string(i);
      hidden_->items.push_back(hidden_->register_module(name, make_linear({"hidden." + name, inputs, config.width, config.bias, 0}, context)));
      dropouts_.push_back(register_module("dropout" + name, std::make_shared<Dropout>("dropout" + name, config.dropout)));
      inputs = config.width;
    }
    head_ = register_module("head", make_linear({"head", inputs, regression_ ? 1 : shape.vocabulary, config.bias, 0}, context));
  }

  at::Tensor forward(const at::Tensor& inputs, const ForwardContext& context) override {
    at::Tensor x = inputs.to(dtype_);
    for (std::size_t i = 0; i < hidden_->items.size(); ++i) {
      x = hidden_->items[i]->forward(x);
      x = dropouts_[i]->forward(activation_ == Activation::relu ? at::relu(x) : exact_gelu(x), context);
    }
    return head_->forward(x);
  }

  at::Tensor loss_sum(const Batch& batch, const ForwardContext& context) override {
    if (!regression_) return Model::loss_sum(batch, context);
    const auto precision = dtype_ == at::kDouble ? at::kDouble : at::kFloat;
    return at::mse_loss(forward(batch.inputs, context).squeeze(-1).to(precision), batch.targets.to(precision), at::Reduction::Sum);
  }

  std::int64_t rows_per_sample() const override { return 1; }

 private:
  bool regression_;
  at::ScalarType dtype_;
  Activation activation_;
  std::shared_ptr<Hidden> hidden_;
  std::vector<std::shared_ptr<Dropout>> dropouts_;
  std::shared_ptr<Linear> head_;
};

std::shared_ptr<Model> make_perceptron(const ModelConfig& config, const DataShape& shape, const BuildContext& context) {
  PANTHER_REQUIRE(shape.features > 0 && shape.sequence == 0, "model.kind = 'mlp' needs rows of features; use data.kind = 'csv' or 'synthetic', or model.kind = "
                  "'gpt' for tokens");
  PANTHER_REQUIRE(config.mlp != "swiglu", "model.mlp = 'swiglu' is for model.kind = 'gpt'; use gelu or relu");
  return std::make_shared<Perceptron>(config, shape, context);
}

}  // namespace
}  // namespace panther::runtime

namespace panther {

void register_mlp(runtime::ModelRegistry& registry);
void register_mlp(runtime::ModelRegistry& registry) { registry.add("mlp", {&runtime::make_perceptron}); }

}  // namespace panther
