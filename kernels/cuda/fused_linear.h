#pragma once
// The sketched layer's own kernels on CUDA, behind kernels/cuda/linear.cpp.
#include <cuda_runtime_api.h>

#include "kernels/linear/linear_kernels.h"

namespace panther::cuda {

/// False when plan_fused_forward() says that the batch or H is too large, or the workspace too small; nothing is launched then.
bool fused_forward_kernel(double alpha, const TensorView& x_BD, const StackedRows& p_ND, const StackedRows& q_NO, const TensorView& h_BN,
                          const TensorView& y_BO, const LinearEpilogue& epilogue, std::span<std::byte> workspace, cudaStream_t stream);
/// Products with rows that need not be stored, in tiles of 64 x 64 on the ordinary cores: along the rows (project) or across (combine).
void project_kernel(double alpha, const TensorView& x_BL, const StackedRows& rows_NL, double beta, const TensorView& out_BN, cudaStream_t stream);
void combine_kernel(double alpha, const TensorView& h_BN, const StackedRows& rows_NL, double beta, const TensorView& out_BL, cudaStream_t stream);
/// y = activation(y + bias) in place, aux = y + bias.
void epilogue_kernel(const TensorView& y_BO, const LinearEpilogue& epilogue, cudaStream_t stream);
void activation_backward(const ActivationGradient& gradient, Stream stream);
void make_sign_bits(SignKey key, const TensorView& bits_NW, Stream stream);
void expand_rows(double scale, const StackedRows& rows, const TensorView& out_NL, Stream stream);

}  // namespace panther::cuda
