#include "runtime/parallel/sketch_checksum.h"

#include <ATen/ops/linalg_vector_norm.h>
#include <ATen/ops/mm.h>

#include <cmath>

#include "runtime/layers/sketched_linear.h"

namespace panther::runtime {
namespace {

constexpr double kMargin = 256;

double frobenius(const at::Tensor& tensor) { return at::linalg_vector_norm(tensor).item<double>(); }

/// In f64 where that is cheap, so that the check adds no rounding of its own.
at::Tensor wide(const at::Tensor& tensor) { return tensor.detach().to(tensor.device().is_cpu() ? at::kDouble : at::kFloat); }

}  // namespace

std::vector<BrokenChecksum> broken_checksums(const torch::nn::Module& model, double unit) {
  const at::NoGradGuard no_grad;
  std::vector<BrokenChecksum> broken;
  for (const auto& entry : model.named_modules()) {
    const auto* layer = dynamic_cast<const SketchedLinear*>(entry.value().get());
    if (layer == nullptr) continue;
    const auto parameters = layer->named_parameters(false);
    const at::Tensor ds1_RD = parameters["s1"].grad(), ds2_RO = parameters["s2"].grad();
    if (!ds1_RD.defined() || !ds2_RO.defined()) continue;
    const at::Tensor left_RR = at::mm(wide(layer->u2_RD()), wide(ds1_RD).t()), right_RR = at::mm(wide(ds2_RO), wide(layer->u1_RO()).t());
    const double residual = frobenius(left_RR - right_RR);
    const double allowed = kMargin * unit * std::sqrt(static_cast<double>(left_RR.size(0))) * (frobenius(wide(ds1_RD)) + frobenius(wide(ds2_RO)));
    if (residual > allowed) broken.push_back({entry.key(), residual, allowed});
  }
  return broken;
}

}  // namespace panther::runtime
