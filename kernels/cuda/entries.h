#pragma once
// The CUDA entries of the kernel table; contracts in kernels/kernel_set.h.
#include "kernels/kernel_set.h"

namespace panther::cuda {

void gemm(double alpha, const TensorView& a_MK, const TensorView& b_KN, double beta, const TensorView& c_MN, const TensorView& bias_N,
          std::span<std::byte> workspace, Stream stream);
void sign_expand(SignKey key, std::int64_t first_vector, std::int64_t first_element, double scale, const TensorView& out_VE, Stream stream);
void sign_project(SignKey key, double alpha, const TensorView& x_BE, double beta, const TensorView& out_BV, Stream stream);
void sign_lift(SignKey key, double alpha, const TensorView& x_BV, double beta, const TensorView& out_BE, Stream stream);
void cast(const TensorView& source, const TensorView& destination, Stream stream);
void packed_sum(std::span<const TensorView> sources, const TensorView& destination, Stream stream);
void scale(double factor, const TensorView& destination, Stream stream);
void sum_of_squares(std::span<const TensorView> tensors, const TensorView& sum_f64, Stream stream);
void adamw(std::span<const OptimizerTensor> tensors, const AdamWStep& step, Stream stream);
void sgd(std::span<const OptimizerTensor> tensors, const SgdStep& step, Stream stream);
const LapackKernels* lapack_kernels();

}  // namespace panther::cuda
