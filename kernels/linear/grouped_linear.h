#pragma once
// Several sketched layers on one X (q, k, v; gate, up) that share U2: X [S1_1 | ... | S1_n | U2] is one product, X U2 is computed and
// kept for backward once, and dX is one product too.
//
// Legend: n consumers, B rows, D inputs, O_i outputs of consumer i, R sketch size (equal for all: the first R vectors of one U2).
#include <span>

#include "kernels/linear/sketched_linear.h"

namespace panther {

struct GroupedWeights {
  TensorView pt_GD;                       ///< G = (n + 1) R rows: s1_RD of each consumer in order, then U2^T. Signs not expanded: G = n R
  std::span<const TensorView> q_2RO;      ///< of each consumer: [U1 ; s2_RO]. Signs not expanded: s2_RO
  std::span<const double> alpha;          ///< of each consumer
  SignStorage signs = SignStorage::expanded;
  TensorView u2_bits_RW{};
  std::span<const TensorView> u1_bits_RW{};
  SignKey u2_key{};
  std::span<const SignKey> u1_keys{};

  std::int64_t consumers() const { return static_cast<std::int64_t>(q_2RO.size()); }
  std::int64_t sketch_size() const { return pt_GD.shape[0] / (signs == SignStorage::expanded ? consumers() + 1 : consumers()); }
};

struct GroupedForward {
  TensorView x_BD;
  TensorView h_BG;                             ///< (n + 1) R columns, scratch; afterwards its last R columns are X U2, which backward needs
  std::span<const TensorView> y_BO;
  std::span<const LinearEpilogue> epilogues;   ///< empty: none
};

/// y_i = epilogue_i(alpha_i (x [S1_i | U2]) [U1_i ; S2_i]). `own`: by LinearKernels, else by the set's gemm; the former gives each y_i the
/// bits of the separate layer. Throws InvalidArgument for shapes that do not fit.
PANTHER_KERNELS_API void grouped_linear_forward(const LinearLaunch& launch, const GroupedWeights& weights, const GroupedForward& call, bool own);

struct GroupedBackward {
  TensorView x_BD;
  TensorView h2_BR;
  std::span<const TensorView> dz_BO;           ///< gradients before each epilogue's activation
  TensorView dh_BG;                            ///< scratch, (n + 1) R columns
};

struct GroupedGradients {
  TensorView dx_BD;                            ///< sum over the consumers; skipped when data == nullptr
  std::span<const TensorView> ds1_RD;
  std::span<const TensorView> ds2_RO;
  double accumulate = 0;                       ///< beta of ds1 and ds2
};

PANTHER_KERNELS_API void grouped_linear_backward(const LinearLaunch& launch, const GroupedWeights& weights, const GroupedBackward& call,
                                                 const GroupedGradients& gradients, bool own);

/// Workspace for signs that a library's product must see as numbers; 0 when `own` or expanded.
PANTHER_KERNELS_API std::size_t grouped_linear_workspace_bytes(const GroupedWeights& weights, bool own);

}  // namespace panther
