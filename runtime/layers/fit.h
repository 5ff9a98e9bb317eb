#pragma once
// Start values from a dense matrix. Pure functions of f64 CPU tensors; W: (D x O).
#include <ATen/core/Tensor.h>

#include "runtime/export.h"

namespace panther::runtime {

struct SketchFactors {
  at::Tensor s1_RD;  ///< S1 transposed
  at::Tensor s2_RO;
};

/// Least squares in two steps: S1 = W U1^+ / alpha, S2 = U2^+ (W - alpha S1 U1) / alpha. What remains of W is (I - P2) W (I - P1) with
/// the projections on the rows of U1 and the columns of U2: squared relative error (1 - R/O)(1 - R/D) on average over U.
PANTHER_RUNTIME_API SketchFactors fitted_sketch(const at::Tensor& weight_DO, const at::Tensor& u1_RO, const at::Tensor& u2_RD, double alpha);
/// The predecessor's copy, S1 = W U1^T / (2 R alpha) and S2 = U2^T W / (2 R alpha): the mean over U is W, the squared relative error
/// (D + O - 2) / (4 R), above 1 wherever the layer saves parameters.
PANTHER_RUNTIME_API SketchFactors unbiased_sketch(const at::Tensor& weight_DO, const at::Tensor& u1_RO, const at::Tensor& u2_RD, double alpha);

struct DenseFactors {
  at::Tensor down_RD;
  at::Tensor up_OR;
};

/// The best product of width R (Eckart, Young 1936), the singular values shared evenly: W ~ down^T up^T.
PANTHER_RUNTIME_API DenseFactors fitted_factors(const at::Tensor& weight_DO, std::int64_t width);

}  // namespace panther::runtime
