#pragma once
// Errors of factorizations: the indicator that costs nothing and the explicit residual that costs a product.
#include "kernels/linalg/arithmetic.h"

namespace panther::linalg {

/// ||A - Q B||_F / ||A||_F from the two norms, Q orthonormal and B = Q^T A: sqrt(|a - b|) sqrt(a + b) / a, which neither overflows nor
/// depends on scale (Yu, Gu, Li, arXiv 1606.09402). 0 when a == 0. Blind below Arithmetic::indicator_floor().
PANTHER_KERNELS_API double error_indicator(double norm_a, double norm_b);

/// ||a - left_MK right_NK^T||_F over all ranks, 256 rows at a time: 2 M N K flops and no M x N memory.
PANTHER_KERNELS_API double residual_norm(const Arithmetic& maths, const TensorView& a_MN, const TensorView& left_MK, const TensorView& right_NK);

}  // namespace panther::linalg
