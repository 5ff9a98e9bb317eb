#pragma once
// Models: torch modules that map a batch to a loss.
#include <memory>
#include <string>

#include "core/registry.h"
#include "runtime/data/batch.h"
#include "runtime/data/shape.h"
#include "runtime/layers/layer.h"

namespace panther::runtime {

struct PANTHER_RUNTIME_API ModelConfig {
  std::string kind = "gpt";                ///< gpt | mlp
  std::int64_t layers = 4;
  std::int64_t width = 256;
  std::int64_t heads = 4;
  double mlp_ratio = 4.0;                  ///< hidden width of the mlp over width
  std::string mlp = "gelu";                ///< gelu | relu | swiglu (gpt only)
  std::string norm = "layer";              ///< layer | rms
  double dropout = 0.0;
  bool bias = true;
  bool tie_embeddings = true;
  void fields(FieldVisitor& v);
};

class PANTHER_RUNTIME_API Model : public torch::nn::Module {
 public:
  /// gpt: tokens (B, T) i64 -> logits (B, T, V); mlp: rows (B, F) -> logits (B, V).
  virtual at::Tensor forward(const at::Tensor& inputs, const ForwardContext& context) = 0;
  /// Sum over targets of the loss in nats (or squared error): a scalar that callers divide by the global target count.
  /// The default is the cross entropy of forward's logits, computed in f32 at least.
  virtual at::Tensor loss_sum(const Batch& batch, const ForwardContext& context);
  /// Rows that one sample becomes inside (tokens, or 1).
  virtual std::int64_t rows_per_sample() const = 0;
};

struct ModelFactory {
  std::shared_ptr<Model> (*make)(const ModelConfig&, const DataShape&, const BuildContext&);
};
using ModelRegistry = Registry<ModelFactory>;
PANTHER_RUNTIME_API const ModelRegistry& model_registry();

/// Builds, initialises and checks that every sketch rule matched. Throws InvalidArgument naming the key.
PANTHER_RUNTIME_API std::shared_ptr<Model> make_model(const ModelConfig& config, const DataShape& shape, const BuildContext& context);

}  // namespace panther::runtime
