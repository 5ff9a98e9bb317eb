#pragma once
// What layers are built from and what they tell about themselves. Layers are torch modules; they know nothing of ranks.
#include <torch/nn/module.h>

#include <memory>
#include <string>
#include <string_view>
#include <utility>
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

/// Base of Panther's layers: facts and tags beside torch's own parameter registration. Each describes itself, not its children.
class PANTHER_RUNTIME_API Layer : public torch::nn::Module {
 public:
  /// Appends this layer's facts; `path` is where it sits in the model.
  virtual void describe(const std::string& path, std::vector<LayerFacts>& out) const = 0;
  /// Tag, decay and lr scale of a direct parameter of this layer, by its local name.
  virtual void annotate(std::string_view local_name, ParameterInfo& info) const;
  /// Called after stored tensors were copied into parameters and buffers: rebuilds what depends on buffers.
  virtual void refresh();
};

struct LinearOptions {
  std::string path;                        ///< full module path: keys the fixed signs and the init
  std::int64_t in_features = 0;
  std::int64_t out_features = 0;
  bool bias = true;
  double init_std = 0;                     ///< standard deviation of the entries of W at init; 0 = 1/sqrt(in)
  double weight_std() const;               ///< init_std with its default filled in
};

/// A matrix layer y = x W + b, whatever W is made of. x: (..., in); y: (..., out).
class PANTHER_RUNTIME_API Linear : public Layer {
 public:
  virtual at::Tensor forward(const at::Tensor& x) = 0;
  /// W as a dense (in x out) matrix, for tests, inspection and conversion.
  virtual at::Tensor dense_weight() const = 0;
  /// Sets W to the member's nearest form of weight_DO (f64, CPU); `how` is a SketchSpec::init other than scratch. Callers use
  /// `initialise_from_dense` of convert.h, which checks shapes and sets the bias too.
  virtual void set_dense_weight(const at::Tensor& weight_DO, std::string_view how) = 0;
  virtual const SketchSpec& spec() const = 0;
  std::int64_t in_features() const { return in_features_; }
  std::int64_t out_features() const { return out_features_; }
  /// (out), undefined when there is none.
  const at::Tensor& bias() const { return bias_; }
  void annotate(std::string_view local_name, ParameterInfo& info) const override;

 protected:
  explicit Linear(const LinearOptions& options);
  /// Registers "bias" (zeros) when the options ask for one; members call it last, so that it is the last parameter.
  void register_bias(const LinearOptions& options, const BuildContext& context);
  /// Throws InvalidArgument unless the last dimension of x is in_features.
  void check_input(const at::Tensor& x) const;
  /// Facts that all kinds share: path, sizes, the dense twin's figures.
  LayerFacts linear_facts(const std::string& path) const;

 private:
  std::int64_t in_features_;
  std::int64_t out_features_;
  at::Tensor bias_;
};

/// The linear layer the policy asks for at options.path.
PANTHER_RUNTIME_API std::shared_ptr<Linear> make_linear(const LinearOptions& options, const BuildContext& context);

/// All trained parameters of a module tree with tags, in stable order; tied parameters appear once.
PANTHER_RUNTIME_API std::vector<ParameterInfo> parameters_of(const torch::nn::Module& module);
/// What a checkpoint holds: parameters_of by name, then persistent buffers (stored signs of imported layers).
PANTHER_RUNTIME_API std::vector<std::pair<std::string, at::Tensor>> stored_tensors_of(const torch::nn::Module& module);
/// To be called after copying into stored tensors: `refresh` of every layer in the tree.
PANTHER_RUNTIME_API void refresh_layers(torch::nn::Module& module);
/// Facts of every Panther layer in the tree.
PANTHER_RUNTIME_API std::vector<LayerFacts> facts_of(const torch::nn::Module& module);

}  // namespace panther::runtime
