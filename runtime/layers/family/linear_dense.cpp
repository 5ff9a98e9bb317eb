// y = x W + b with a trained matrix. Parameters: weight (O x D, torch's layout), bias (O).
#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>

#include "core/error.h"
#include "runtime/layers/dense_product.h"
#include "runtime/layers/init.h"
#include "runtime/layers/linear_registry.h"

namespace panther::runtime {
namespace {

class DenseLinear final : public Linear {
 public:
  DenseLinear(const LinearOptions& options, const SketchSpec& spec, const BuildContext& context) : Linear(options), spec_(spec) {
    weight_ = register_parameter("weight", at::empty({options.out_features, options.in_features},
                                                     at::TensorOptions(context.device).dtype(context.dtype)));
    register_bias(options, context);
    init_normal_(weight_, context.seed, options.path + ".weight", options.weight_std());
  }

  at::Tensor forward(const at::Tensor& x) override {
    check_input(x);
    return dense_product(x, weight_, bias());
  }
  at::Tensor dense_weight() const override { return weight_.t(); }
  void set_dense_weight(const at::Tensor& weight_DO, std::string_view) override {
    const at::NoGradGuard no_grad;
    weight_.copy_(weight_DO.t());
  }
  const SketchSpec& spec() const override { return spec_; }

  void describe(const std::string& path, std::vector<LayerFacts>& out) const override {
    LayerFacts facts = linear_facts(path);
    facts.kind = "linear.dense";
    facts.forward_flops_per_row = facts.dense_forward_flops_per_row;
    facts.backward_flops_per_row = 2 * facts.dense_forward_flops_per_row;
    facts.saved_bytes_per_row = in_features() * static_cast<std::int64_t>(weight_.element_size());
    out.push_back(std::move(facts));
  }

 private:
  SketchSpec spec_;
  at::Tensor weight_;
};

}  // namespace
}  // namespace panther::runtime

namespace panther {

void register_linear_dense(runtime::LinearRegistry& registry);
void register_linear_dense(runtime::LinearRegistry& registry) {
  registry.add("dense", {[](const runtime::LinearOptions& options, const runtime::SketchSpec& spec, const runtime::BuildContext& context)
                             -> std::shared_ptr<runtime::Linear> { return std::make_shared<runtime::DenseLinear>(options, spec, context); }});
}

}  // namespace panther
