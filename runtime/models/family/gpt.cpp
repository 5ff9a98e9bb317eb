// A decoder-only transformer with learned positions and pre-norm blocks (Radford et al. 2019).
//
// Parameters: tokens.weight, positions.weight, blocks.<i>.{norm1, attention.qkv, attention.proj, norm2, mlp.[gate,] up, down}, norm, and head
// when embeddings are not tied.
#include <cmath>

#include "core/error.h"
#include "runtime/layers/attention.h"
#include "runtime/layers/dense_product.h"
#include "runtime/layers/dropout.h"
#include "runtime/layers/embedding.h"
#include "runtime/layers/mlp.h"
#include "runtime/layers/norm.h"
#include "runtime/models/model.h"

namespace panther::runtime {
namespace {

class Block final : public torch::nn::Module {
 public:
  Block(const std::string& path, const ModelConfig& config, std::int64_t sequence, const BuildContext& context) {
    const auto hidden = static_cast<std::int64_t>(std::llround(config.mlp_ratio * static_cast<double>(config.width)));
    // 2 layers branches add up in the residual stream.
    const double residual_scale = 1.0 / std::sqrt(2.0 * static_cast<double>(config.layers));
    const auto std_of = [&](std::int64_t inputs) { return residual_scale / std::sqrt(static_cast<double>(inputs)); };
    const NormOptions norm{config.norm, config.width, config.bias};
    norm1_ = register_module("norm1", std::make_shared<Norm>(norm, context));
    attention_ = register_module("attention", std::make_shared<CausalSelfAttention>(
        AttentionOptions{path + ".attention", config.width, config.heads, sequence, config.bias, std_of(config.width)}, context));
    norm2_ = register_module("norm2", std::make_shared<Norm>(norm, context));
    mlp_ = register_module("mlp", std::make_shared<Mlp>(
        MlpOptions{path + ".mlp", config.width, hidden, parse_activation(config.mlp), config.bias, std_of(hidden)}, context));
    dropout1_ = register_module("dropout1", std::make_shared<Dropout>(path + ".dropout1", config.dropout));
    dropout2_ = register_module("dropout2", std::make_shared<Dropout>(path + ".dropout2", config.dropout));
  }

  at::Tensor forward(at::Tensor x, const ForwardContext& context) {
    x = x + dropout1_->forward(attention_->forward(norm1_->forward(x)), context);
    return x + dropout2_->forward(mlp_->forward(norm2_->forward(x)), context);
  }

 private:
  std::shared_ptr<Norm> norm1_;
  std::shared_ptr<CausalSelfAttention> attention_;
  std::shared_ptr<Norm> norm2_;
  std::shared_ptr<Mlp> mlp_;
  std::shared_ptr<Dropout> dropout1_;
  std::shared_ptr<Dropout> dropout2_;
};

/// Gives the blocks their numbers in the names.
struct Blocks final : torch::nn::Module {
  std::vector<std::shared_ptr<Block>> items;
};

class Gpt final : public Model {
 public:
  Gpt(const ModelConfig& config, const DataShape& shape, const BuildContext& context) : vocabulary_(shape.vocabulary), sequence_(shape.sequence) {
    tokens_ = register_module("tokens", std::make_shared<Embedding>(
        EmbeddingOptions{"tokens", shape.vocabulary, config.width, config.tie_embeddings, true, 0.02}, context));
    positions_ = register_module("positions", std::make_shared<Embedding>(
        EmbeddingOptions{"positions", shape.sequence, config.width, false, false, 0.02}, context));
    dropout_ = register_module("dropout", std::make_shared<Dropout>("dropout", config.dropout));
    blocks_ = register_module("blocks", std::make_shared<Blocks>());
    for (std::int64_t i = 0; i < config.layers; ++i) {
      const std::string name = std::to_string(i);
      blocks_->items.push_back(blocks_->register_module(name, std::make_shared<Block>("blocks." + name, config, shape.sequence, context)));
    }
    norm_ = register_module("norm", std::make_shared<Norm>(NormOptions{config.norm, config.width, config.bias}, context));
    if (!config.tie_embeddings) head_ = register_module("head", make_linear({"head", config.width, shape.vocabulary, false, 0}, context));
  }

  at::Tensor forward(const at::Tensor& inputs, const ForwardContext& context) override {
    PANTHER_REQUIRE(inputs.dim() == 2 && inputs.size(1) <= sequence_, "a gpt of sequence length ", sequence_, " was given tokens of shape ", inputs.sizes());
    at::Tensor x = tokens_->forward(inputs) + positions_->weight().narrow(0, 0, inputs.size(1));
    x = dropout_->forward(x, context);
    for (const auto& block : blocks_->items) x = block->forward(x, context);
    x = norm_->forward(x);
    return head_ ? head_->forward(x) : dense_product(x, tokens_->weight(), {});
  }

  std::int64_t rows_per_sample() const override { return sequence_; }

 private:
  std::int64_t vocabulary_;
  std::int64_t sequence_;
  std::shared_ptr<Embedding> tokens_;
  std::shared_ptr<Embedding> positions_;
  std::shared_ptr<Dropout> dropout_;
  std::shared_ptr<Blocks> blocks_;
  std::shared_ptr<Norm> norm_;
  std::shared_ptr<Linear> head_;
};

std::shared_ptr<Model> make_gpt(const ModelConfig& config, const DataShape& shape, const BuildContext& context) {
  PANTHER_REQUIRE(shape.sequence > 0, "model.kind = 'gpt' needs tokens; use data.kind = 'bytes', or model.kind = 'mlp' for rows");
  PANTHER_REQUIRE(config.width % config.heads == 0, "model.heads = ", config.heads, " does not divide model.width = ", config.width);
  return std::make_shared<Gpt>(config, shape, context);
}

}  // namespace
}  // namespace panther::runtime

namespace panther {

void register_gpt(runtime::ModelRegistry& registry);
void register_gpt(runtime::ModelRegistry& registry) { registry.add("gpt", {&runtime::make_gpt}); }

}  // namespace panther
