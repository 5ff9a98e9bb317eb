#pragma once
// QR with column pivoting of a tall matrix at the speed of matrix products: a sketch chooses the pivots and preconditions Cholesky QR.
// Melnichenko, Balabanov, Murray, Demmel, Mahoney, Luszczek, "CholeskyQR with Randomization and Pivoting for Tall Matrices" (arXiv 2311.08316).
// 3 m n^2 flops beside the sketch; over ranks two sums (d x n and n x n) in all.
//
// Legend: M local rows, N columns, K rank, D rows of the sketch.
#include <string>

#include "kernels/export.h"
#include "kernels/linalg/context.h"
#include "kernels/linalg/qr_quality.h"
#include "kernels/linalg/stages.h"
#include "kernels/matrix.h"

namespace panther::linalg {

struct CqrrptOptions {
  double sketch_factor = 1.25;     ///< D = ceil(sketch_factor * N), at least N; larger: better conditioned, dearer
  std::string sketch = "saso";  ///< a name of sketch_operators() that reads every row of its input
  std::int64_t nonzeros = 4;       ///< of sparse sketches
  /// Columns whose |R_ii| / |R_11| in the sketch is below this are left out. Relative, so scaling changes nothing. 0: 2 eps^0.95 with eps = 2u.
  double rank_tolerance = 0;
  bool estimate_error = true;      ///< three more passes over memory
};

struct CqrrptResult {
  Matrix q_MK;                       ///< split over ranks as the input
  Matrix r_KN;                       ///< upper trapezoidal, zeros below the diagonal
  std::vector<std::int64_t> pivots;  ///< column j of A P is column pivots[j] of A
  std::int64_t rank = 0;
  QrQuality quality;
  int passes = 1;                    ///< Gram matrices computed; 1 in the ordinary case
  bool shifted = false;              ///< Cholesky failed at first and shifted passes were needed
  std::vector<StageTime> stages;
};

/// Any strides (a column-major input is read where it lies, others are copied). M < N is allowed: the rank is then at most the rows.
/// Throws InvalidArgument for nan, infinity and shapes, Unsupported without LAPACK, OutOfMemory beforehand where memory is short.
PANTHER_KERNELS_API CqrrptResult cqrrpt(const Context& context, const TensorView& a_MN, const CqrrptOptions& options = {});

/// What cqrrpt allocates at most, beside its input: result, sketch and scratch.
PANTHER_KERNELS_API std::int64_t cqrrpt_bytes(std::int64_t rows, std::int64_t columns, DType dtype, bool column_major, const CqrrptOptions& options = {});

}  // namespace panther::linalg
