#pragma once
// Products with a sign matrix by table lookup, several times as fast as multiplying.
#include "kernels/sketch/dense_kernels.h"

namespace panther::cpu {

/// out_BO = alpha x_BD W + beta out_BO for the window's signs: W = S^T (depth D runs over elements, outputs O over vectors), or W = S
/// (`lift`: depth runs over vectors, outputs over elements). Arguments checked. Every result is the sum of D / 4 terms in order, each of
/// them (x0 +- x1) + (x2 +- x3) up to signs: its rounding error is at most (D / 4 + 3) u sum |x|, below that of a plain sum.
void sign_table_product(const DenseSketch& sketch, bool lift, double alpha, const TensorView& x_BD, double beta, const TensorView& out_BO);

}  // namespace panther::cpu
