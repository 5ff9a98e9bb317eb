#include "runtime/models/convert.h"

#include <ATen/core/grad_mode.h>

#include <functional>
#include <map>

#include "core/error.h"
#include "core/file_format/safetensors.h"
#include "runtime/layers/convert.h"
#include "runtime/tensor/view_of.h"

namespace panther::runtime {
namespace {

using Named = std::map<std::string, at::Tensor, std::less<>>;

/// What is to be done, collected before anything changes.
struct Plan {
  const Named& dense;
  Named unused = dense;
  std::vector<std::string> problems = {};
  std::vector<std::function<void()>> actions = {};
  ConversionReport report = {};

  /// The tensor of that name and shape; undefined (and a problem noted) otherwise.
  at::Tensor take(const std::string& name, at::IntArrayRef shape) {
    const auto found = dense.find(name);
    if (found == dense.end()) {
      problems.push_back(concat(name, " is missing"));
      return {};
    }
    unused.erase(name);
    if (found->second.sizes() == shape) return found->second;
    problems.push_back(concat(name, " has shape ", found->second.sizes(), ", needed ", shape));
    return {};
  }
};

std::string joined(const std::string& path, const std::string& name) { return path.empty() ? name : path + "." + name; }

void plan_linear(Plan& plan, const std::string& path, const std::shared_ptr<Linear>& layer) {
  const at::Tensor weight_OD = plan.take(joined(path, "weight"), {layer->out_features(), layer->in_features()});
  const at::Tensor bias_O = layer->bias().defined() ? plan.take(joined(path, "bias"), layer->bias().sizes()) : at::Tensor();
  plan.actions.push_back([=] { initialise_from_dense(*layer, weight_OD.t(), bias_O, layer->spec().init); });
  (layer->spec().kind == "dense" ? plan.report.copied : plan.report.fitted).push_back(path);
}

/// The predecessor's names: S1s (L, in, r), S2s (L, r, out), U1s (L, r, out), U2s (L, in, r), bias. L is read off S1s.
void plan_terms(Plan& plan, const std::string& path, const std::shared_ptr<Linear>& layer) {
  const auto first = plan.dense.find(joined(path, "S1s"));
  const bool shaped = first != plan.dense.end() && first->second.dim() == 3 && first->second.size(0) > 0;
  const std::int64_t count = shaped ? first->second.size(0) : 1, rank = layer->spec().sketch_size / count;
  const std::int64_t in = layer->in_features(), out = layer->out_features();
  const ImportedTerms terms{plan.take(joined(path, "S1s"), {count, in, rank}), plan.take(joined(path, "S2s"), {count, rank, out}),
                            plan.take(joined(path, "U1s"), {count, rank, out}), plan.take(joined(path, "U2s"), {count, in, rank}),
                            layer->bias().defined() ? plan.take(joined(path, "bias"), layer->bias().sizes()) : at::Tensor()};
  plan.actions.push_back([=] { set_terms(*layer, terms); });
  plan.report.imported.push_back(path);
}

void plan_module(Plan& plan, const std::string& path, torch::nn::Module& module) {
  for (const auto& parameter : module.named_parameters(/*recurse=*/false)) {
    const std::string name = joined(path, parameter.key());
    const at::Tensor source = plan.take(name, parameter.value().sizes());
    const at::Tensor target = parameter.value().detach();
    plan.actions.push_back([=] { target.copy_(source); });
    plan.report.copied.push_back(name);
  }
  for (const auto& child : module.named_children()) {
    const std::string child_path = joined(path, child.key());
    const auto linear = std::dynamic_pointer_cast<Linear>(child.value());
    if (linear == nullptr) {
      plan_module(plan, child_path, *child.value());
    } else if (linear->spec().init == "imported") {
      plan_terms(plan, child_path, linear);
    } else if (linear->spec().kind == "dense" || linear->spec().init == "fitted" || linear->spec().init == "unbiased") {
      plan_linear(plan, child_path, linear);
    } else {
      plan.report.scratch.push_back(child_path);
      plan.unused.erase(joined(child_path, "weight"));
      plan.unused.erase(joined(child_path, "bias"));
    }
  }
}

}  // namespace

ConversionReport initialise_from_dense(Model& model, const std::vector<std::pair<std::string, at::Tensor>>& dense) {
  const at::NoGradGuard no_grad;
  const Named by_name(dense.begin(), dense.end());
  Plan plan{by_name};
  plan_module(plan, "", model);
  PANTHER_REQUIRE(plan.problems.empty(), "the dense weights do not fit the model: ", join_first(plan.problems, 8, "; "));
  for (const auto& action : plan.actions) action();
  for (const auto& [name, tensor] : plan.unused) plan.report.unused.push_back(name);
  return std::move(plan.report);
}

ConversionReport initialise_from_file(Model& model, const std::filesystem::path& path) {
  const SafetensorsFile file(std::filesystem::is_directory(path) ? path / "model.safetensors" : path);
  std::vector<std::pair<std::string, at::Tensor>> tensors;
  for (const SafetensorsEntry& entry : file.entries()) {
    TensorView view;
    // Only read from: the mapping is not writable.
    view.data = const_cast<std::byte*>(entry.bytes.data());
    view.dtype = entry.dtype;
    view.dims = static_cast<int>(entry.shape.size());
    PANTHER_REQUIRE(view.dims <= TensorView::kMaxDims, path.string(), ": tensor ", entry.name, " has ", view.dims, " dimensions, at most 8 are supported");
    std::int64_t stride = 1;
    for (std::size_t d = entry.shape.size(); d-- > 0; stride *= entry.shape[d]) {
      view.shape[d] = entry.shape[d];
      view.strides[d] = stride;
    }
    tensors.emplace_back(entry.name, tensor_over(view));
  }
  try {
    return initialise_from_dense(model, tensors);
  } catch (const Error& error) {
    throw error.with(path.string());
  }
}

}  // namespace panther::runtime
