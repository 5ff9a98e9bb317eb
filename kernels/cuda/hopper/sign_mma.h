#pragma once
// Products of two-byte data with random signs on Hopper's tensor cores: the signs are made in the registers that wgmma reads, so S exists nowhere.
#include "kernels/sketch/dense_kernels.h"

namespace panther::cuda {

/// As DenseSketchKernels::project. False, with nothing touched, on other devices and for what it does not take: other dtypes, real entries, rows that are
/// not whole units of 16 bytes, products too small for it. Sums are f32, parts of a split added in a fixed order.
bool project_by_sign_mma(const DenseSketch& sketch, double alpha, const TensorView& x_BE, double beta, const TensorView& out_BV, Allocator& allocator, Stream stream);

}  // namespace panther::cuda
