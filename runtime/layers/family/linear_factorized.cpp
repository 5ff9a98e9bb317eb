// y = (x A) B + b with both factors trained, the sketched layer's honest rival. Parameters: down (R x D) = A transposed,
// up (O x R) = B transposed, bias (O); both in torch's layout.
#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/matmul.h>

#include <cmath>

#include "core/error.h"
#include "runtime/layers/fit.h"
#include "runtime/layers/init.h"
#include "runtime/layers/linear_registry.h"

namespace panther::runtime {
namespace {

class FactorizedLinear final : public Linear {
 public:
  FactorizedLinear(const LinearOptions& options, const SketchSpec& spec, const BuildContext& context) : Linear(options), spec_(spec) {
    const at::TensorOptions tensor_options = at::TensorOptions(context.device).dtype(context.dtype);
    down_ = register_parameter("down", at::empty({spec.sketch_size, options.in_features}, tensor_options));
    up_ = register_parameter("up", at::empty({options.out_features, spec.sketch_size}, tensor_options));
    register_bias(options, context);
    // Entries of W sum R products: variance R std_down^2 std_up^2. The first factor keeps the scale of its input.
    const double down_std = 1.0 / std::sqrt(static_cast<double>(options.in_features));
    init_normal_(down_, context.seed, options.path + ".down", down_std);
    init_normal_(up_, context.seed, options.path + ".up", options.weight_std() / (down_std * std::sqrt(static_cast<double>(spec.sketch_size))));
  }

  at::Tensor forward(const at::Tensor& x) override {
    check_input(x);
    return at::linear(at::linear(x, down_), up_, bias());
  }
  at::Tensor dense_weight() const override { return at::matmul(down_.t(), up_.t()); }
  void set_dense_weight(const at::Tensor& weight_DO, std::string_view how) override {
    PANTHER_REQUIRE(how == "fitted", "a factorized layer is set from a dense one by init = 'fitted', not '", how, "'");
    const at::NoGradGuard no_grad;
    const DenseFactors factors = fitted_factors(weight_DO, spec_.sketch_size);
    down_.copy_(factors.down_RD);
    up_.copy_(factors.up_OR);
  }
  const SketchSpec& spec() const override { return spec_; }

  void describe(const std::string& path, std::vector<LayerFacts>& out) const override {
    LayerFacts facts = linear_facts(path);
    facts.kind = "linear.factorized";
    facts.forward_flops_per_row = 2.0 * static_cast<double>(spec_.sketch_size) * static_cast<double>(in_features() + out_features());
    facts.backward_flops_per_row = 2 * facts.forward_flops_per_row;
    facts.saved_bytes_per_row = (in_features() + spec_.sketch_size) * static_cast<std::int64_t>(down_.element_size());
    out.push_back(std::move(facts));
  }

 private:
  SketchSpec spec_;
  at::Tensor down_;
  at::Tensor up_;
};

}  // namespace
}  // namespace panther::runtime

namespace panther {

void register_linear_factorized(runtime::LinearRegistry& registry);
void register_linear_factorized(runtime::LinearRegistry& registry) {
  registry.add("factorized", {[](const runtime::LinearOptions& options, const runtime::SketchSpec& spec, const runtime::BuildContext& context)
                                  -> std::shared_ptr<runtime::Linear> {
    return std::make_shared<runtime::FactorizedLinear>(options, spec, context);
  }});
}

}  // namespace panther
