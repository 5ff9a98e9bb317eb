#pragma once
// What every device's LinearKernels entries require of their arguments. All throw InvalidArgument naming the entry and the value.
#include "kernels/linear/linear_kernels.h"

namespace panther::check {

void rows(const StackedRows& rows, std::int64_t length, const char* entry);
void project(const TensorView& x_BL, const StackedRows& rows_NL, const TensorView& out_BN);
void combine(const TensorView& h_BN, const StackedRows& rows_NL, const TensorView& out_BL, const LinearEpilogue& epilogue);
void activation_backward(const ActivationGradient& gradient);
/// i32 [N, W], rows contiguous, W a multiple of 4.
void bits(const TensorView& bits_NW);

}  // namespace panther::check
