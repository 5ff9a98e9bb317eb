#include "runtime/models/model.h"

#include <ATen/core/Reduction.h>
#include <ATen/ops/cross_entropy_loss.h>

namespace panther {
void register_model_family(runtime::ModelRegistry& registry);
}  // namespace panther

namespace panther::runtime {

void ModelConfig::fields(FieldVisitor& v) {
  v.field("kind", kind, {.help = "family of models", .choices = {"gpt", "mlp"}});
  v.field("layers", layers, {.help = "blocks (gpt) or hidden layers (mlp)", .min = 1, .max = 1 << 16});
  v.field("width", width, {.help = "width of the residual stream (gpt) or of the hidden layers (mlp)", .min = 1, .max = 1 << 20});
  v.field("heads", heads, {.help = "attention heads; must divide width", .min = 1, .max = 1 << 16});
  v.field("mlp_ratio", mlp_ratio, {.help = "hidden width of the feed-forward part over width", .min = 0.01, .max = 64});
  v.field("mlp", mlp, {.help = "activation of the feed-forward part", .choices = {"gelu", "relu", "swiglu"}});
  v.field("norm", norm, {.help = "normalisation", .choices = {"layer", "rms"}});
  v.field("dropout", dropout, {.help = "probability of dropping an element of a residual branch", .min = 0, .max = 0.99});
  v.field("bias", bias, {.help = "biases in linear layers and layer norms"});
  v.field("tie_embeddings", tie_embeddings, {.help = "the token table is also the output matrix (gpt)"});
}

at::Tensor Model::loss_sum(const Batch& batch, const ForwardContext& context) {
  at::Tensor logits = forward(batch.inputs, context);
  if (at::isReducedFloatingType(logits.scalar_type())) logits = logits.to(at::kFloat);
  return at::cross_entropy_loss(logits.reshape({-1, logits.size(-1)}), batch.targets.reshape(-1), {}, at::Reduction::Sum);
}

const ModelRegistry& model_registry() {
  static const ModelRegistry registry = [] {
    ModelRegistry built("model.kind");
    register_model_family(built);
    return built;
  }();
  return registry;
}

std::shared_ptr<Model> make_model(const ModelConfig& config, const DataShape& shape, const BuildContext& context) {
  std::shared_ptr<Model> model = model_registry().at(config.kind).make(config, shape, context);
  if (context.policy != nullptr) context.policy->check_all_matched();
  return model;
}

}  // namespace panther::runtime
