#pragma once
// CUDA's table of Hadamard sketches; contracts in kernels/sketch/hadamard_kernels.h.
#include "kernels/sketch/hadamard_kernels.h"

namespace panther::cuda {

/// Transforms longer than two passes of shared memory (2^28 in f32, 2^26 in f64) throw Unsupported.
void hadamard_project(const SampledHadamard& sketch, std::int64_t first_position, double alpha, const TensorView& a_PC, double beta,
                      const TensorView& out_KC, Allocator& allocator, Stream stream);
void hadamard_lift(const SampledHadamard& sketch, std::int64_t first_position, double alpha, const TensorView& a_KC, double beta,
                   const TensorView& out_PC, Allocator& allocator, Stream stream);
void hadamard_expand(const SampledHadamard& sketch, std::int64_t first_position, double scale, const TensorView& out_KP, Allocator& allocator,
                     Stream stream);
void hadamard_transform(double scale, const TensorView& x_NC, Allocator& allocator, Stream stream);

inline constexpr HadamardKernels kHadamard{hadamard_project, hadamard_lift, hadamard_expand, hadamard_transform};

}  // namespace panther::cuda
