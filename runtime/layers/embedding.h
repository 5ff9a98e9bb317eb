#pragma once
// Rows of a table by index: tokens and positions.
#include "runtime/layers/layer.h"

namespace panther::runtime {

struct EmbeddingOptions {
  std::string path;
  std::int64_t entries = 0;
  std::int64_t width = 0;
  bool tied = false;        ///< the table is also the output matrix: its gradient is dense
  bool decay = true;
  double init_std = 0.02;
};

/// Parameter: weight (entries x width).
class PANTHER_RUNTIME_API Embedding final : public Layer {
 public:
  Embedding(const EmbeddingOptions& options, const BuildContext& context);
  /// indices (...) i64 -> (..., width).
  at::Tensor forward(const at::Tensor& indices);
  const at::Tensor& weight() const { return weight_; }
  void describe(const std::string& path, std::vector<LayerFacts>& out) const override;
  void annotate(std::string_view local_name, ParameterInfo& info) const override;

 private:
  EmbeddingOptions options_;
  at::Tensor weight_;
};

}  // namespace panther::runtime
