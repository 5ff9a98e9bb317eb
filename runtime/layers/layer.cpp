#include "runtime/layers/layer.h"

#include <ATen/ops/zeros.h>

#include <cmath>
#include <unordered_set>

#include "core/error.h"
#include "runtime/layers/linear_registry.h"

namespace panther {
void register_linear_family(runtime::LinearRegistry& registry);
}  // namespace panther

namespace panther::runtime {
namespace {

std::string joined(const std::string& path, const std::string& name) { return path.empty() ? name : path + "." + name; }

/// Calls visit(path, module) for the module and everything below it, parents first, in order of registration.
template <class Visit>
void walk(const torch::nn::Module& module, const std::string& path, const Visit& visit) {
  visit(path, module);
  for (const auto& child : module.named_children()) walk(*child.value(), joined(path, child.key()), visit);
}

}  // namespace

void Layer::annotate(std::string_view, ParameterInfo&) const {}

void Layer::refresh() {}

double LinearOptions::weight_std() const { return init_std > 0 ? init_std : 1.0 / std::sqrt(static_cast<double>(in_features)); }

Linear::Linear(const LinearOptions& options) : in_features_(options.in_features), out_features_(options.out_features) {
  PANTHER_REQUIRE(in_features_ > 0 && out_features_ > 0, "linear layer '", options.path, "' needs positive sizes, got ", in_features_, " x ", out_features_);
}

void Linear::register_bias(const LinearOptions& options, const BuildContext& context) {
  if (!options.bias) return;
  bias_ = register_parameter("bias", at::zeros({out_features_}, at::TensorOptions(context.device).dtype(context.dtype)));
}

void Linear::check_input(const at::Tensor& x) const {
  PANTHER_REQUIRE(x.dim() >= 1 && x.size(-1) == in_features_, "linear layer of ", in_features_, " inputs was given x of shape ", x.sizes());
}

void Linear::annotate(std::string_view local_name, ParameterInfo& info) const {
  if (local_name == "bias") info.decay = false;
}

LayerFacts Linear::linear_facts(const std::string& path) const {
  LayerFacts facts;
  facts.path = path;
  facts.in_features = in_features_;
  facts.out_features = out_features_;
  facts.spec = spec();
  for (const auto& parameter : parameters(false)) facts.parameters += parameter.numel();
  facts.dense_parameters = in_features_ * out_features_ + (bias_.defined() ? out_features_ : 0);
  facts.dense_forward_flops_per_row = 2.0 * static_cast<double>(in_features_) * static_cast<double>(out_features_);
  return facts;
}

const LinearRegistry& linear_registry() {
  static const LinearRegistry registry = [] {
    LinearRegistry built("kind of linear layer");
    register_linear_family(built);
    return built;
  }();
  return registry;
}

std::shared_ptr<Linear> make_linear(const LinearOptions& options, const BuildContext& context) {
  const SketchSpec spec = context.policy == nullptr ? SketchSpec{}
                                                    : context.policy->spec_for(options.path, options.in_features, options.out_features);
  return linear_registry().at(spec.kind).make(options, spec, context);
}

std::vector<ParameterInfo> parameters_of(const torch::nn::Module& module) {
  std::vector<ParameterInfo> result;
  std::unordered_set<const c10::TensorImpl*> seen;
  walk(module, "", [&](const std::string& path, const torch::nn::Module& child) {
    const auto* layer = dynamic_cast<const Layer*>(&child);
    for (const auto& parameter : child.named_parameters(/*recurse=*/false)) {
      if (!parameter.value().defined() || !seen.insert(parameter.value().unsafeGetTensorImpl()).second) continue;
      ParameterInfo info;
      info.name = joined(path, parameter.key());
      info.tensor = parameter.value();
      // Outside our layers, vectors are biases and norms.
      info.decay = info.tensor.dim() > 1;
      if (layer != nullptr) layer->annotate(parameter.key(), info);
      result.push_back(std::move(info));
    }
  });
  return result;
}

std::vector<std::pair<std::string, at::Tensor>> stored_tensors_of(const torch::nn::Module& module) {
  std::vector<std::pair<std::string, at::Tensor>> result;
  for (ParameterInfo& parameter : parameters_of(module)) result.emplace_back(std::move(parameter.name), std::move(parameter.tensor));
  walk(module, "", [&](const std::string& path, const torch::nn::Module& child) {
    for (const auto& buffer : child.named_buffers(/*recurse=*/false)) result.emplace_back(joined(path, buffer.key()), buffer.value());
  });
  return result;
}

void refresh_layers(torch::nn::Module& module) {
  if (auto* layer = dynamic_cast<Layer*>(&module)) layer->refresh();
  for (const auto& child : module.children()) refresh_layers(*child);
}

std::vector<LayerFacts> facts_of(const torch::nn::Module& module) {
  std::vector<LayerFacts> result;
  walk(module, "", [&](const std::string& path, const torch::nn::Module& child) {
    if (const auto* layer = dynamic_cast<const Layer*>(&child)) layer->describe(path, result);
  });
  return result;
}

}  // namespace panther::runtime
