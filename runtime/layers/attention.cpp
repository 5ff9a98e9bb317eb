#include "runtime/layers/attention.h"

#include "core/error.h"
#include "runtime/layers/attention_product.h"

namespace panther::runtime {

CausalSelfAttention::CausalSelfAttention(const AttentionOptions& options, const BuildContext& context) : options_(options) {
  PANTHER_REQUIRE(options.heads > 0 && options.width % options.heads == 0, "attention '", options.path, "': ", options.heads, " heads do not divide width ",
                  options.width);
  qkv_ = register_module("qkv", make_linear({options.path + ".qkv", options.width, 3 * options.width, options.bias, 0}, context));
  proj_ = register_module("proj", make_linear({options.path + ".proj", options.width, options.width, options.bias, options.proj_init_std}, context));
}

at::Tensor CausalSelfAttention::forward(const at::Tensor& x) {
  return proj_->forward(causal_attention(qkv_->forward(x), options_.heads));
}

void CausalSelfAttention::describe(const std::string& path, std::vector<LayerFacts>& out) const {
  LayerFacts facts;
  facts.path = path;
  facts.kind = "attention";
  facts.in_features = facts.out_features = options_.width;
  // Position t meets t + 1 others, twice (scores and mix); on average (sequence + 1) / 2. Backward recomputes the scores.
  facts.forward_flops_per_row = facts.dense_forward_flops_per_row = 2.0 * static_cast<double>((options_.sequence + 1) * options_.width);
  facts.backward_flops_per_row = 2.5 * facts.forward_flops_per_row;
  const auto parameters = qkv_->parameters();
  facts.saved_bytes_per_row = (4 * options_.width + options_.heads) * static_cast<std::int64_t>(parameters.front().element_size());
  out.push_back(std::move(facts));
}

}  // namespace panther::runtime
