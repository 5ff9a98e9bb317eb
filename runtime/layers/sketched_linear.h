#pragma once
// y = x W + b with W = alpha (S1 U1 + U2 S2): S1 and S2 train, U1 and U2 are fixed signs.
//
// Parameters: s1 (R x D) = S1 transposed, s2 (R x O), bias (O). They are halves of the packed workspaces that the kernels
// read, so an optimizer that updates them in place updates the workspaces. Buffers u1_bits and u2_bits hold the signs of imported
// layers only; all others regenerate them from (seed, path).
#include "runtime/layers/layer.h"
#include "runtime/layers/sketched_product.h"

namespace panther::runtime {

class PANTHER_RUNTIME_API SketchedLinear final : public Linear {
 public:
  SketchedLinear(const LinearOptions& options, const SketchSpec& spec, const BuildContext& context);

  at::Tensor forward(const at::Tensor& x) override;
  at::Tensor dense_weight() const override;
  void set_dense_weight(const at::Tensor& weight_DO, std::string_view how) override;
  const SketchSpec& spec() const override { return spec_; }
  void describe(const std::string& path, std::vector<LayerFacts>& out) const override;
  void annotate(std::string_view local_name, ParameterInfo& info) const override;
  /// Imported layers: signs from the stored bits.
  void refresh() override;

  // Moving the module moves the parameters out of the workspaces: these put them back.
  void to(torch::Device device, torch::Dtype dtype, bool non_blocking = false) override;
  void to(torch::Dtype dtype, bool non_blocking = false) override;
  void to(torch::Device device, bool non_blocking = false) override;

  /// +-1, (R x O) and (R x D); views of the workspaces.
  at::Tensor u1_RO() const;
  at::Tensor u2_RD() const;
  /// Only for init = imported: replaces the fixed signs by those of the arguments' entries. Throws InvalidArgument.
  void set_signs(const at::Tensor& u1_RO, const at::Tensor& u2_RD);

 private:
  void bind();
  bool is_bound() const;
  const c10::intrusive_ptr<SketchedWeights>& compute_weights(const at::Tensor& x);

  SketchSpec spec_;
  std::uint64_t seed_;
  std::string key_path_;
  at::Tensor s1_RD_;
  at::Tensor s2_RO_;
  at::Tensor u1_bits_;
  at::Tensor u2_bits_;
  c10::intrusive_ptr<SketchedWeights> weights_;
  c10::intrusive_ptr<SketchedWeights> cast_weights_;  ///< under autocast, of cast_epoch_
  std::uint64_t cast_epoch_ = 0;
};

}  // namespace panther::runtime
