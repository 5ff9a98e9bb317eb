#pragma once
// Traces and norms from a few products with a matrix, each with an error estimate.
#include <functional>

#include "kernels/linalg/context.h"

namespace panther::linalg {

struct Estimate {
  double value = 0;
  double error = 0;       ///< standard error of a trace; of spectral_norm the residual: a singular value lies within it
  int iterations = 0;     ///< probes or Krylov steps
  std::int64_t products = 0;  ///< vectors multiplied with A
};

enum class TraceMethod : std::uint8_t {
  hutchpp,     ///< Meyer, Musco, Musco, Woodruff (arXiv 2010.09649): exact on a random range, Hutchinson on the rest; variance O(1/m^2) for PSD matrices
  hutchinson,  ///< mean of z^T A z over random signs; variance 2(||A||_F^2 - sum a_ii^2)/m for symmetric A
};

/// out_NC = A x_NC, column-major f32 or f64 on the context's device. A is square and need not be stored or symmetric.
using LinearMap = std::function<void(const TensorView& x_NC, const TensorView& out_NC)>;

/// Unbiased estimate of trace(A), A n x n, from `products` products (at least 2; hutchpp: 6). One process, or a map that gives every rank
/// the same whole result. NonFinite products throw InvalidArgument.
PANTHER_KERNELS_API Estimate trace(const Context& context, const LinearMap& map, std::int64_t n, DType dtype, Device device, std::int64_t products,
                                   TraceMethod method = TraceMethod::hutchpp);
/// Of a matrix at hand; rows may be split.
PANTHER_KERNELS_API Estimate trace(const Context& context, const TensorView& a_NN, std::int64_t products, TraceMethod method = TraceMethod::hutchpp);

/// ||A||_2 from below by randomized block Krylov until the leading triplet's residual is within `tolerance` of it.
PANTHER_KERNELS_API Estimate spectral_norm(const Context& context, const TensorView& a_MN, double tolerance = 1e-3, int most_steps = 64);
/// ||A||_F, computed, in f64; error is its rounding.
PANTHER_KERNELS_API Estimate frobenius_norm(const Context& context, const TensorView& a_MN);

}  // namespace panther::linalg
