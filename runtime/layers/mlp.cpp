#include "runtime/layers/mlp.h"

#include <ATen/ops/relu.h>
#include <ATen/ops/silu.h>

#include "core/error.h"
#include "runtime/layers/gelu.h"

namespace panther::runtime {

Activation parse_activation(std::string_view name) {
  if (name == "gelu") return Activation::gelu;
  if (name == "relu") return Activation::relu;
  PANTHER_REQUIRE(name == "swiglu", "activation '", name, "' is not known; use gelu, relu or swiglu");
  return Activation::swiglu;
}

Mlp::Mlp(const MlpOptions& options, const BuildContext& context) : options_(options) {
  const LinearOptions widen{options.path + ".up", options.width, options.hidden, options.bias, 0};
  if (options.activation == Activation::swiglu) {
    LinearOptions gate = widen;
    gate.path = options.path + ".gate";
    gate_ = register_module("gate", make_linear(gate, context));
  }
  up_ = register_module("up", make_linear(widen, context));
  down_ = register_module("down", make_linear({options.path + ".down", options.hidden, options.width, options.bias, options.down_init_std}, context));
}

at::Tensor Mlp::forward(const at::Tensor& x) {
  switch (options_.activation) {
    case Activation::gelu: return down_->forward(exact_gelu(up_->forward(x)));
    case Activation::relu: return down_->forward(at::relu(up_->forward(x)));
    case Activation::swiglu: return down_->forward(at::silu(gate_->forward(x)) * up_->forward(x));
  }
  fail(ErrorCode::Internal, "activation ", static_cast<int>(options_.activation), " has no formula");
}

void Mlp::describe(const std::string& path, std::vector<LayerFacts>& out) const {
  LayerFacts facts;
  facts.path = path;
  facts.kind = gate_ ? "mlp.swiglu" : options_.activation == Activation::gelu ? "mlp.gelu" : "mlp.relu";
  facts.in_features = facts.out_features = options_.width;
  // What the activation keeps; the linear layers count their own inputs. relu keeps its output, which is down's input.
  const std::int64_t kept = gate_ ? 3 : options_.activation == Activation::gelu ? 1 : 0;
  facts.saved_bytes_per_row = kept * options_.hidden * static_cast<std::int64_t>(up_->parameters().front().element_size());
  out.push_back(std::move(facts));
}

}  // namespace panther::runtime
