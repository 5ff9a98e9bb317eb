#pragma once
// What layers are built from and what they tell about themselves. Layers are torch modules; they know nothing of ranks.
#include <torch/nn/module.h>

#include <string>
#include <vector>

#include "runtime/export.h"
#include "runtime/sketch/spec.h"

namespace panther::runtime {

/// How the exchange may treat a parameter's gradient.
enum class GradientTag { dense, sketched_exact, row_sparse };

/// One trained parameter in the model's stable order (order of registration, depth first).
struct ParameterInfo {
  std::string name;                        ///< dotted, as in Python: "blocks.0.mlp.up.s1"
  at::Tensor tensor;
  GradientTag tag = GradientTag::dense;
  bool decay = true;                       ///< weight decay applies (false for biases, norms, embeddings' positions)
  double lr_scale = 1.0;
};

/// One line of the --dry-run table.
struct LayerFacts {
  std::string path;
  std::string kind;                        ///< "linear.sketched", "embedding", "norm.layer", "attention"
  std::int64_t in_features = 0;
  std::int64_t out_features = 0;
  SketchSpec spec;
  std::int64_t parameters = 0;             ///< trained here
  std::int64_t dense_parameters = 0;       ///< trained by the dense twin
  double forward_flops_per_row = 0;        ///< per row (token)
  double backward_flops_per_row = 0;
  double dense_forward_flops_per_row = 0;
  std::int64_t saved_bytes_per_row = 0;    ///< activations kept for backward, per row
  std::uint64_t seed_key = 0;              ///< of the fixed signs, 0 when none
};

/// Everything construction needs. Passed by reference down the tree with the path growing.
struct BuildContext {
  std::uint64_t seed = 0;
  at::ScalarType dtype = at::kFloat;       ///< of parameters
  at::Device device = at::kCPU;
  SketchPolicy* policy = nullptr;          ///< nullptr: everything dense
};

/// Facts of one forward pass that reproducible randomness needs.
struct ForwardContext {
  std::int64_t step = 0;
  at::Tensor sample_ids;                   ///< i64, one per row of the batch (CPU): keys of dropout
  std::uint64_t seed = 0;
};

/// Base of Panther's layers: facts and tags beside torch's own parameter registration.
class PANTHER_RUNTIME_API Layer : public torch::nn::Module {
 public:
  /// Appends this layer's facts; `path` is where it sits in the model.
  virtual void describe(const std::string& path, std::vector<LayerFacts>& out) const = 0;
  /// Tag, decay and lr scale of a direct parameter of this layer, by its local name.
  virtual void annotate(std::string_view local_name, ParameterInfo& info) const;
};

/// A matrix layer y = x W + b, whatever W is made of. x: (..., in); y: (..., out).
class PANTHER_RUNTIME_API Linear : public Layer {
 public:
  virtual at::Tensor forward(const at::Tensor& x) = 0;
  /// W as a dense (in x out) matrix, for tests, inspection and conversion.
  virtual at::Tensor dense_weight() const = 0;
  virtual const SketchSpec& spec() const = 0;
};

struct LinearOptions {
  std::string path;                        ///< full module path: keys the fixed signs and the init
  std::int64_t in_features = 0;
  std::int64_t out_features = 0;
  bool bias = true;
  double init_std = 0;                     ///< standard deviation of the entries of W at init; 0 = 1/sqrt(in)
};

/// The linear layer the policy asks for at options.path.
PANTHER_RUNTIME_API std::shared_ptr<Linear> make_linear(const LinearOptions& options, const BuildContext& context);

/// All trained parameters of a module tree with tags, in stable order; tied parameters appear once.
PANTHER_RUNTIME_API std::vector<ParameterInfo> parameters_of(const torch::nn::Module& module);
/// Facts of every Panther layer in the tree.
PANTHER_RUNTIME_API std::vector<LayerFacts> facts_of(const torch::nn::Module& module);

}  // namespace panther::runtime
