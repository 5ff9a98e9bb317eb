#pragma once
// The CPU's table of kernels/linear/linear_kernels.h.
#include "kernels/linear/linear_kernels.h"

namespace panther::cpu {

const LinearKernels& linear_kernels();
void activation_backward(const ActivationGradient& gradient, Stream stream);

}  // namespace panther::cpu
