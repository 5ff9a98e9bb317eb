#pragma once
// The sketched linear layer as GEMM chains: Y = alpha (X S1 U1 + X U2 S2) + b, in the packed form Y = alpha (X P) Q + b.
//
// Shapes: B rows, D inputs, O outputs, R sketch size. Storage (architecture page): pt_2RD = [s1_RD ; U2^T] and
// q_2RO = [U1 ; s2_RO]; s1_RD and s2_RO are halves of these buffers, so nothing is copied or concatenated.
// Source: Kasiviswanathan, Narodytska, Jin, arXiv 1710.07850, in the native scaling of docs/architecture.md.
#include <cstddef>

#include "kernels/kernel_set.h"

namespace panther {

struct SketchedLinearWeights {
  TensorView pt_2RD;
  TensorView q_2RO;
  double alpha = 1.0;
  std::int64_t sketch_size() const { return pt_2RD.shape[0] / 2; }
};

/// y_BO = alpha (x_BD P) Q + bias_O; h_B2R receives X P (its right half, X U2, is what backward needs).
/// bias.data may be nullptr. Two GEMMs.
PANTHER_KERNELS_API void sketched_linear_forward(const KernelSet& kernels, const SketchedLinearWeights& weights, const TensorView& x_BD,
                                                 const TensorView& bias_O, const TensorView& h_B2R, const TensorView& y_BO,
                                                 std::span<std::byte> workspace, Stream stream);

struct SketchedLinearGradients {
  TensorView dx_BD;        ///< skipped when data == nullptr
  TensorView ds1_RD;       ///< beta_s * old + new
  TensorView ds2_RO;
  double accumulate = 0;   ///< beta of ds1 and ds2: 0 overwrites, 1 adds into gradient buckets
};

/// Four GEMMs: dh_B2R = alpha G Q^T (scratch, provided), ds2 = alpha H2^T G, ds1 = dh1^T X, dx = dh P^T.
PANTHER_KERNELS_API void sketched_linear_backward(const KernelSet& kernels, const SketchedLinearWeights& weights, const TensorView& x_BD,
                                                  const TensorView& h2_BR, const TensorView& dy_BO, const TensorView& dh_B2R,
                                                  const SketchedLinearGradients& gradients, std::span<std::byte> workspace, Stream stream);

/// Writes the fixed halves: U2^T into rows [R, 2R) of pt (domain "<path>.u2", vectors j, elements over D) and U1 into rows [0, R) of q
/// (domain "<path>.u1", elements over O).
PANTHER_KERNELS_API void expand_sketched_linear_signs(const KernelSet& kernels, std::uint64_t seed, std::string_view path,
                                                      const SketchedLinearWeights& weights, Stream stream);

}  // namespace panther
