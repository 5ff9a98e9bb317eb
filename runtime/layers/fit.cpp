#include "runtime/layers/fit.h"

#include <ATen/ops/linalg_pinv.h>
#include <ATen/ops/linalg_svd.h>
#include <ATen/ops/matmul.h>

#include "core/error.h"

namespace panther::runtime {
namespace {

void require_f64(const at::Tensor& weight_DO) {
  PANTHER_CHECK(weight_DO.dim() == 2 && weight_DO.scalar_type() == at::kDouble && weight_DO.is_cpu(), "fits take an f64 CPU matrix, got ",
                weight_DO.sizes(), " of ", at::toString(weight_DO.scalar_type()));
}

}  // namespace

SketchFactors fitted_sketch(const at::Tensor& weight_DO, const at::Tensor& u1_RO, const at::Tensor& u2_RD, double alpha) {
  require_f64(weight_DO);
  const at::Tensor s1_DR = at::matmul(weight_DO, at::linalg_pinv(u1_RO)) / alpha;
  const at::Tensor rest_DO = weight_DO - alpha * at::matmul(s1_DR, u1_RO);
  return {s1_DR.t().contiguous(), at::matmul(at::linalg_pinv(u2_RD.t()), rest_DO) / alpha};
}

SketchFactors unbiased_sketch(const at::Tensor& weight_DO, const at::Tensor& u1_RO, const at::Tensor& u2_RD, double alpha) {
  require_f64(weight_DO);
  const double scale = 1.0 / (2.0 * static_cast<double>(u1_RO.size(0)) * alpha);
  return {scale * at::matmul(u1_RO, weight_DO.t()), scale * at::matmul(u2_RD, weight_DO)};
}

DenseFactors fitted_factors(const at::Tensor& weight_DO, std::int64_t width) {
  require_f64(weight_DO);
  const auto [u, s, vh] = at::linalg_svd(weight_DO, /*full_matrices=*/false);
  const at::Tensor root = s.narrow(0, 0, width).sqrt();
  return {(u.narrow(1, 0, width) * root).t().contiguous(), (vh.narrow(0, 0, width) * root.unsqueeze(1)).t().contiguous()};
}

}  // namespace panther::runtime
