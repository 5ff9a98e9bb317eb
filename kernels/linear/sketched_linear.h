#pragma once
// The sketched linear layer: Y = alpha (X S1 U1 + X U2 S2) + b, in the packed form Y = alpha (X P) Q + b.
//
// Shapes: B rows, D inputs, O outputs, R sketch size. Storage (architecture page): pt_2RD = [s1_RD ; U2^T] and
// q_2RO = [U1 ; s2_RO]; s1_RD and s2_RO are halves of these buffers, so nothing is copied or concatenated.
// Source: Kasiviswanathan, Narodytska, Jin, arXiv 1710.07850, in the native scaling of docs/architecture.md.
#include <cstddef>

#include "kernels/linear/cost_model.h"
#include "kernels/linear/linear_kernels.h"

namespace panther {

struct SketchedLinearWeights {
  TensorView pt_2RD;                            ///< signs not expanded: s1_RD alone
  TensorView q_2RO;                             ///< signs not expanded: s2_RO alone
  double alpha = 1.0;
  SignStorage signs = SignStorage::expanded;
  TensorView u1_bits_RW{}, u2_bits_RW{};        ///< bits: as LinearKernels::sign_bits writes them
  SignKey u1_key{}, u2_key{};                   ///< seed: as expand_sketched_linear_signs uses them

  std::int64_t sketch_size() const { return signs == SignStorage::expanded ? pt_2RD.shape[0] / 2 : pt_2RD.shape[0]; }
  TensorView s1_RD() const { return pt_2RD.slice(0, sketch_size()); }
  TensorView s2_RO() const { return q_2RO.slice(q_2RO.shape[0] - sketch_size(), sketch_size()); }
  PANTHER_KERNELS_API ValueRows u1() const;
  PANTHER_KERNELS_API ValueRows u2() const;
  /// The factors as rows: P^T = [S1^T ; U2^T] and Q = [U1 ; S2].
  PANTHER_KERNELS_API StackedRows p() const;
  PANTHER_KERNELS_API StackedRows q() const;
};

/// The keys under which a layer's signs are made: "<path>.u1" over O, "<path>.u2" over D.
PANTHER_KERNELS_API SignKey sketched_linear_u1_key(std::uint64_t seed, std::string_view path);
PANTHER_KERNELS_API SignKey sketched_linear_u2_key(std::uint64_t seed, std::string_view path);

/// Writes the fixed halves: U2^T into rows [R, 2R) of pt (domain "<path>.u2", vectors j, elements over D) and U1 into rows [0, R) of q
/// (domain "<path>.u1", elements over O).
PANTHER_KERNELS_API void expand_sketched_linear_signs(const KernelSet& kernels, std::uint64_t seed, std::string_view path,
                                                      const SketchedLinearWeights& weights, Stream stream);

/// Where and with what one call runs. `workspace`: scratch on the device; a library's split sums and the dense path use it.
struct LinearLaunch {
  const KernelSet& kernels;
  std::span<std::byte> workspace;
  Stream stream;
};

struct SketchedLinearForward {
  TensorView x_BD;
  TensorView h_B2R;           ///< receives X P; its right half, X U2, is what backward needs. dense: only the right half, nothing when data == nullptr
  TensorView y_BO;
  LinearEpilogue epilogue;
  TensorView dense_DO{};      ///< dense: W when it is already formed (CachedWeight), else W is formed in the workspace
};

/// y = epilogue(alpha (x P) Q) along `choice`'s path.
PANTHER_KERNELS_API void sketched_linear_forward(const LinearLaunch& launch, const SketchedLinearWeights& weights, const SketchedLinearForward& call,
                                                 const LinearChoice& choice);

struct SketchedLinearGradients {
  TensorView dx_BD;        ///< skipped when data == nullptr
  TensorView ds1_RD;       ///< beta_s * old + new
  TensorView ds2_RO;
  double accumulate = 0;   ///< beta of ds1, ds2 and dbias: 0 overwrites, 1 adds into gradient buckets
  TensorView dbias_O{};    ///< column sums of dz; skipped when data == nullptr
};

struct SketchedLinearBackward {
  TensorView x_BD;
  TensorView h2_BR;                        ///< X U2 of forward; may be empty for choice.dense_gradient
  TensorView dy_BO;                        ///< gradient of y
  TensorView dh_B2R;                       ///< scratch
  Activation activation = Activation::none;
  TensorView aux_BO{};                     ///< what forward's epilogue saved
  TensorView dz_BO{};                      ///< scratch for an activation: receives dy * slope(aux); may be dy_BO itself
  TensorView dense_DO{};                   ///< as in forward
};

/// dh_B2R = alpha dz Q^T, ds2 = alpha H2^T dz, ds1 = dh1^T X, dx = dh P^T, dbias = column sums of dz; or dx = dz W^T on the dense path.
PANTHER_KERNELS_API void sketched_linear_backward(const LinearLaunch& launch, const SketchedLinearWeights& weights, const SketchedLinearBackward& call,
                                                  const SketchedLinearGradients& gradients, const LinearChoice& choice);

/// Bytes of workspace a path needs for W, dW and expanded signs (a library's own wishes come on top). A shorter workspace is refused.
PANTHER_KERNELS_API std::size_t sketched_linear_workspace_bytes(const LinearProblem& problem, const LinearChoice& choice);

/// The problem a call poses, for choose_linear_path.
PANTHER_KERNELS_API LinearProblem sketched_linear_problem(const SketchedLinearWeights& weights, std::int64_t rows, LinearPass pass);

/// W_DO = alpha (S1 U1 + U2 S2).
PANTHER_KERNELS_API void materialize_sketched_linear(const LinearLaunch& launch, const SketchedLinearWeights& weights, const TensorView& dense_DO);

// The two calls of a layer that keeps no choice of its own: chain or fused by the default calibration, so that every rank and every
// run of a job adds in the same order. h_B2R and dh_B2R as above; bias.data may be nullptr.
PANTHER_KERNELS_API void sketched_linear_forward(const KernelSet& kernels, const SketchedLinearWeights& weights, const TensorView& x_BD,
                                                 const TensorView& bias_O, const TensorView& h_B2R, const TensorView& y_BO,
                                                 std::span<std::byte> workspace, Stream stream);
PANTHER_KERNELS_API void sketched_linear_backward(const KernelSet& kernels, const SketchedLinearWeights& weights, const TensorView& x_BD,
                                                  const TensorView& h2_BR, const TensorView& dy_BO, const TensorView& dh_B2R,
                                                  const SketchedLinearGradients& gradients, std::span<std::byte> workspace, Stream stream);

}  // namespace panther
