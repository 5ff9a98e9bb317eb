#pragma once
// f32 products of a large matrix with a narrow one on Hopper's tensor cores, at the accuracy of f32: every operand is split into two tf32 numbers, three of
// the four products of parts are made (the fourth is below 2^-22), and sums leave the tensor cores every few hundred elements, since those round towards
// zero. Ootomo, Yokota, "Recovering single precision accuracy from Tensor Cores" (arXiv 2203.03341).
#include "kernels/allocator.h"
#include "kernels/stream.h"
#include "kernels/view.h"

namespace panther::cuda {

/// c_MN = alpha a_MK b_KN + beta c_MN of f32 views; beta == 0 never reads c. False, with nothing touched, on other devices and for what it does not take:
/// an a with neither dimension near, or rows that are not whole units of 16 bytes; few rows, little depth, very few or many columns.
bool narrow_product(double alpha, const TensorView& a_MK, const TensorView& b_KN, double beta, const TensorView& c_MN, Allocator& allocator, Stream stream);

}  // namespace panther::cuda
