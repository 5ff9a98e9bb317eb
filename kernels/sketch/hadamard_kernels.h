#pragma once
// Products with sampled, randomly signed Walsh-Hadamard matrices: one device's table behind KernelSet::hadamard.
//
// H[i, p] = (-1)^popcount(i & p), N x N with N a power of two, unnormalised (H H = N I). Legend: K samples, P positions, C columns.
#include <cstdint>
#include <span>

#include "kernels/allocator.h"
#include "kernels/sketch/signs.h"
#include "kernels/view.h"

namespace panther {

/// Rows of H D, D diagonal with D[p, p] = sign(vector 0, element p) of `signs`.
struct SampledHadamard {
  int log2_size = 0;  ///< N = 2^log2_size, at most 2^32
  SignKey signs;
  std::span<const std::int64_t> samples;  ///< distinct rows of H, on the host, any order
};

/// Entries: two-dimensional views of floating dtype, any strides, sizes may be 0, a and out of one dtype and not overlapping; sums in f32
/// at least (f64 for f64), in an order that only log2_size decides, with one rounding to out's dtype; beta == 0 never reads out. Positions
/// [first_position, first_position + P) of the padded vector are the data's, all others are zero: padding costs no memory.
struct HadamardKernels {
  /// out_KC = alpha (H D)[samples, positions] a_PC + beta out_KC.
  void (*project)(const SampledHadamard& sketch, std::int64_t first_position, double alpha, const TensorView& a_PC, double beta,
                  const TensorView& out_KC, Allocator& allocator, Stream stream) = nullptr;
  /// out_PC = alpha (H D)[samples, positions]^T a_KC + beta out_PC.
  void (*lift)(const SampledHadamard& sketch, std::int64_t first_position, double alpha, const TensorView& a_KC, double beta,
               const TensorView& out_PC, Allocator& allocator, Stream stream) = nullptr;
  /// out_KP = scale (H D)[samples, positions].
  void (*expand)(const SampledHadamard& sketch, std::int64_t first_position, double scale, const TensorView& out_KP, Allocator& allocator,
                 Stream stream) = nullptr;
  /// x_NC = scale H x_NC in place; N must be a power of two.
  void (*transform)(double scale, const TensorView& x_NC, Allocator& allocator, Stream stream) = nullptr;
};

}  // namespace panther
