#pragma once
// CUDA's table of sparse sketches; contracts in kernels/sketch/sparse_kernels.h.
#include "kernels/sketch/sparse_kernels.h"

namespace panther::cuda {

void sparse_scatter(const SparseWindow& window, double alpha, const TensorView& a_JC, double beta, const TensorView& out_MC, Allocator& allocator,
                    Stream stream);
void sparse_gather(const SparseWindow& window, double alpha, const TensorView& a_MC, double beta, const TensorView& out_JC, Allocator& allocator,
                   Stream stream);
void sparse_expand(const SparseWindow& window, double scale, const TensorView& out_JM, Allocator& allocator, Stream stream);

inline constexpr SparseSketchKernels kSparseSketch{sparse_scatter, sparse_gather, sparse_expand};

}  // namespace panther::cuda
