#pragma once
// Truncated singular value decompositions by randomization: of given rank, or up to a tolerance.
#include <string>

#include "kernels/linalg/context.h"
#include "kernels/linalg/svd_result.h"

namespace panther::linalg {

enum class RangeFinder : std::uint8_t {
  krylov,  ///< keeps every iterate: q steps cost 2q + 1 passes and end closer to the optimum than q power iterations, which cost 2q + 2
  power,   ///< Halko, Martinsson, Tropp (arXiv 0909.4061) algorithm 4.4: less memory, and the bounds of the literature
};

struct RsvdOptions {
  std::int64_t rank = 0;          ///< k; with a tolerance: the most that is allowed, 0 for min(M, N)
  double tolerance = 0;           ///< > 0: the smallest rank whose ||A - U S V^T||_F / ||A||_F is at most this; relative always
  std::int64_t oversampling = 10; ///< p: the basis has k + p columns (a power basis; a Krylov one q times as many)
  int power_iterations = 2;       ///< q; the basis is orthonormalised after every product with A or A^T
  RangeFinder range = RangeFinder::krylov;
  /// Any of sketch_operators(). saso costs a few additions per entry of A where gaussian costs a product, and two iterations later the errors are the same
  /// (docs/performance.md); the bounds of the literature for q = 0 are gaussian's.
  std::string sketch = "saso";
};

/// A ~ U diag(s) V^T. a: f32 or f64, any strides, rows split over ranks or whole. Flops about 2 M N l (2q + 1), l = k + p; messages when
/// split: q sums of N x l and small ones. relative_error is the indicator and as good as error_floor = sqrt(2u); a tolerance below
/// that is met by the explicit residual (see qb), if rounding lets it be met. A zero matrix has s = 0.
/// Throws InvalidArgument: rank outside [1, min(M, N)] without a tolerance, negative options, not finite; OutOfMemory with the estimate.
PANTHER_KERNELS_API SvdResult rsvd(const Context& context, const TensorView& a_MN, const RsvdOptions& options);

/// Bytes that rsvd of rank > 0 allocates beside its input on this rank, within a few per cent.
PANTHER_KERNELS_API double rsvd_bytes(std::int64_t local_rows, std::int64_t columns, const RsvdOptions& options, DType dtype);

}  // namespace panther::linalg
