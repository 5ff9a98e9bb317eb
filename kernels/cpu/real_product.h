#pragma once
// Products with a Gaussian or uniform matrix that is generated a panel at a time.
#include "kernels/sketch/dense_kernels.h"

namespace panther::cpu {

/// As sign_table_product for real entries. A panel of at most 1 MiB (f32) is drawn once and used by all rows of x.
void real_product(const DenseSketch& sketch, bool lift, double alpha, const TensorView& x_BD, double beta, const TensorView& out_BO,
                  Allocator& allocator);

}  // namespace panther::cpu
