#include <ATen/autocast_mode.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/zeros.h>

#include <cmath>

#include "core/error.h"
#include "kernels/linear/sketched_linear.h"
#include "runtime/layers/autocast.h"
#include "runtime/layers/fit.h"
#include "runtime/layers/init.h"
#include "runtime/layers/linear_registry.h"
#include "runtime/layers/sign_bits.h"
#include "runtime/layers/sketched_linear.h"
#include "runtime/tensor/view_of.h"

namespace panther::runtime {

SketchedLinear::SketchedLinear(const LinearOptions& options, const SketchSpec& spec, const BuildContext& context)
    : Linear(options), spec_(spec), seed_(context.seed), key_path_(options.path) {
  PANTHER_REQUIRE(spec.sketch_size >= 1, "sketched layer '", options.path, "' needs a sketch size of at least 1, got ", spec.sketch_size);
  if (spec_.alpha == 0) spec_.alpha = native_alpha(spec.sketch_size);
  const at::TensorOptions tensor_options = at::TensorOptions(context.device).dtype(context.dtype);
  s1_RD_ = register_parameter("s1", at::zeros({spec.sketch_size, options.in_features}, tensor_options));
  s2_RO_ = register_parameter("s2", at::zeros({spec.sketch_size, options.out_features}, tensor_options));
  register_bias(options, context);
  bind();
  if (spec_.init == "imported") {
    u1_bits_ = register_buffer("u1_bits", pack_signs(u1_RO()));
    u2_bits_ = register_buffer("u2_bits", pack_signs(u2_RD()));
  }
  // An entry of W is alpha times a signed sum of 2 R entries of S: variance 2 R alpha^2 std^2.
  const double std = options.weight_std() / (spec_.alpha * std::sqrt(2.0 * static_cast<double>(spec.sketch_size)));
  init_normal_(s1_RD_, seed_, key_path_ + ".s1", std);
  init_normal_(s2_RO_, seed_, key_path_ + ".s2", std);
}

/// New workspaces for the parameters' present values, which become views of them.
void SketchedLinear::bind() {
  const at::NoGradGuard no_grad;
  const std::int64_t size = spec_.sketch_size;
  auto weights = c10::make_intrusive<SketchedWeights>();
  weights->pt_2RD = at::empty({2 * size, in_features()}, s1_RD_.options());
  weights->q_2RO = at::empty({2 * size, out_features()}, s2_RO_.options());
  weights->bias_O = bias().defined() ? bias().detach() : at::Tensor();
  weights->alpha = spec_.alpha;
  const at::Tensor s1 = weights->pt_2RD.narrow(0, 0, size).copy_(s1_RD_);
  const at::Tensor s2 = weights->q_2RO.narrow(0, size, size).copy_(s2_RO_);
  s1_RD_.set_data(s1);
  s2_RO_.set_data(s2);
  weights_ = std::move(weights);
  cast_epoch_ = 0;
  const TensorView pt = view_of(weights_->pt_2RD);
  expand_sketched_linear_signs(runtime_kernels(pt.device.kind), seed_, key_path_, {pt, view_of(weights_->q_2RO), spec_.alpha},
                               current_stream(pt.device));
  refresh();
}

bool SketchedLinear::is_bound() const {
  return s1_RD_.const_data_ptr() == weights_->pt_2RD.const_data_ptr() && (!bias().defined() || bias().const_data_ptr() == weights_->bias_O.const_data_ptr()) &&
         s2_RO_.const_data_ptr() == static_cast<const char*>(weights_->q_2RO.const_data_ptr()) + s2_RO_.nbytes();
}

void SketchedLinear::refresh() {
  if (!u1_bits_.defined()) return;
  // torch's Module::to(dtype) converts buffers of bytes as well; 0 .. 255 survive every dtype.
  u1_bits_.set_data(u1_bits_.to(at::kByte));
  u2_bits_.set_data(u2_bits_.to(at::kByte));
  unpack_signs(u1_bits_, u1_RO());
  unpack_signs(u2_bits_, u2_RD());
  cast_epoch_ = 0;
}

void SketchedLinear::to(torch::Device device, torch::Dtype dtype, bool non_blocking) {
  Linear::to(device, dtype, non_blocking);
  bind();
}

void SketchedLinear::to(torch::Dtype dtype, bool non_blocking) {
  Linear::to(dtype, non_blocking);
  bind();
}

void SketchedLinear::to(torch::Device device, bool non_blocking) {
  Linear::to(device, non_blocking);
  bind();
}

at::Tensor SketchedLinear::u1_RO() const { return weights_->q_2RO.narrow(0, 0, spec_.sketch_size); }

at::Tensor SketchedLinear::u2_RD() const { return weights_->pt_2RD.narrow(0, spec_.sketch_size, spec_.sketch_size); }

void SketchedLinear::set_signs(const at::Tensor& u1, const at::Tensor& u2) {
  PANTHER_REQUIRE(u1_bits_.defined(), "layer '", key_path_, "' regenerates its signs from the seed; build it with init = 'imported' to give others");
  PANTHER_REQUIRE(u1.sizes() == u1_RO().sizes() && u2.sizes() == u2_RD().sizes(), "signs of shape ", u1.sizes(), " and ", u2.sizes(),
                  " do not fit layer '", key_path_, "', which has ", u1_RO().sizes(), " and ", u2_RD().sizes());
  u1_bits_.copy_(pack_signs(u1));
  u2_bits_.copy_(pack_signs(u2));
  refresh();
}

const c10::intrusive_ptr<SketchedWeights>& SketchedLinear::compute_weights(const at::Tensor& x) {
  if (!is_bound()) bind();
  const at::DeviceType device = x.device().type();
  const at::ScalarType own = weights_->pt_2RD.scalar_type();
  if (!at::autocast::is_autocast_enabled(device) || own == at::kDouble) {
    PANTHER_REQUIRE(x.scalar_type() == own, "layer '", key_path_, "' has parameters of ", at::toString(own), " and was given ",
                    at::toString(x.scalar_type()), "; convert one of them, or use autocast");
    return weights_;
  }
  const at::ScalarType compute = at::autocast::get_autocast_dtype(device);
  if (compute == own) return weights_;
  const std::uint64_t epoch = autocast_epoch();
  if (epoch != 0 && epoch == cast_epoch_ && cast_weights_->pt_2RD.scalar_type() == compute) return cast_weights_;
  cast_weights_ = c10::make_intrusive<SketchedWeights>();
  cast_weights_->pt_2RD = weights_->pt_2RD.to(compute);
  cast_weights_->q_2RO = weights_->q_2RO.to(compute);
  if (bias().defined()) cast_weights_->bias_O = bias().detach().to(compute);
  cast_weights_->alpha = weights_->alpha;
  cast_epoch_ = epoch;
  return cast_weights_;
}

at::Tensor SketchedLinear::forward(const at::Tensor& x) {
  check_input(x);
  return sketched_product(x, s1_RD_, s2_RO_, bias(), compute_weights(x));
}

at::Tensor SketchedLinear::dense_weight() const {
  const at::NoGradGuard no_grad;
  const std::int64_t size = spec_.sketch_size;
  return spec_.alpha * (at::matmul(s1_RD_.t(), weights_->q_2RO.narrow(0, 0, size)) + at::matmul(u2_RD().t(), s2_RO_));
}

void SketchedLinear::set_dense_weight(const at::Tensor& weight_DO, std::string_view how) {
  PANTHER_REQUIRE(how == "fitted" || how == "unbiased", "a sketched layer is set from a dense one by init = 'fitted' or 'unbiased', not '", how, "'");
  const at::NoGradGuard no_grad;
  const at::Tensor u1 = u1_RO().to(at::kCPU, at::kDouble), u2 = u2_RD().to(at::kCPU, at::kDouble);
  const SketchFactors factors = how == "fitted" ? fitted_sketch(weight_DO, u1, u2, spec_.alpha) : unbiased_sketch(weight_DO, u1, u2, spec_.alpha);
  s1_RD_.copy_(factors.s1_RD);
  s2_RO_.copy_(factors.s2_RO);
}

void SketchedLinear::annotate(std::string_view local_name, ParameterInfo& info) const {
  Linear::annotate(local_name, info);
  if (local_name != "s1" && local_name != "s2") return;
  info.tag = GradientTag::sketched_exact;
  info.lr_scale = native_alpha(spec_.sketch_size) / spec_.alpha;
}

void SketchedLinear::describe(const std::string& path, std::vector<LayerFacts>& out) const {
  LayerFacts facts = linear_facts(path);
  facts.kind = "linear.sketched";
  const double product = static_cast<double>(spec_.sketch_size) * static_cast<double>(in_features() + out_features());
  facts.forward_flops_per_row = 4 * product;
  facts.backward_flops_per_row = 6 * product;
  facts.saved_bytes_per_row = (in_features() + spec_.sketch_size) * static_cast<std::int64_t>(s1_RD_.element_size());
  if (!u1_bits_.defined()) facts.seed_key = SignKey::of(seed_, key_path_ + ".u1").key;
  out.push_back(std::move(facts));
}

}  // namespace panther::runtime

namespace panther {

void register_linear_sketched(runtime::LinearRegistry& registry);
void register_linear_sketched(runtime::LinearRegistry& registry) {
  registry.add("sketched", {[](const runtime::LinearOptions& options, const runtime::SketchSpec& spec, const runtime::BuildContext& context)
                                -> std::shared_ptr<runtime::Linear> { return std::make_shared<runtime::SketchedLinear>(options, spec, context); }});
}

}  // namespace panther
