#include "runtime/layers/embedding.h"

#include <ATen/ops/embedding.h>
#include <ATen/ops/empty.h>

#include "core/error.h"
#include "runtime/layers/init.h"

namespace panther::runtime {

Embedding::Embedding(const EmbeddingOptions& options, const BuildContext& context) : options_(options) {
  PANTHER_REQUIRE(options.entries > 0 && options.width > 0, "embedding '", options.path, "' needs positive sizes, got ", options.entries, " x ", options.width);
  weight_ = register_parameter("weight", at::empty({options.entries, options.width}, at::TensorOptions(context.device).dtype(context.dtype)));
  init_normal_(weight_, context.seed, options.path + ".weight", options.init_std);
}

at::Tensor Embedding::forward(const at::Tensor& indices) { return at::embedding(weight_, indices); }

void Embedding::describe(const std::string& path, std::vector<LayerFacts>& out) const {
  LayerFacts facts;
  facts.path = path;
  facts.kind = options_.tied ? "embedding.tied" : "embedding";
  facts.in_features = options_.entries;
  facts.out_features = options_.width;
  facts.parameters = facts.dense_parameters = weight_.numel();
  // As the output matrix it is a dense product per row.
  if (options_.tied) facts.forward_flops_per_row = facts.dense_forward_flops_per_row = 2.0 * static_cast<double>(weight_.numel());
  facts.backward_flops_per_row = 2 * facts.forward_flops_per_row;
  facts.saved_bytes_per_row = 8 + (options_.tied ? options_.width * static_cast<std::int64_t>(weight_.element_size()) : 0);
  out.push_back(std::move(facts));
}

void Embedding::annotate(std::string_view, ParameterInfo& info) const {
  info.decay = options_.decay;
  if (!options_.tied && options_.decay) info.tag = GradientTag::row_sparse;
}

}  // namespace panther::runtime
