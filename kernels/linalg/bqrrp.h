#pragma once
// Blocked QR with column pivoting of any matrix, in GEQP3's output format, at the speed of matrix products: a small sketch of the trailing matrix
// chooses a block of pivots and preconditions the block's Cholesky QR; the sketch is updated, not taken again.
// Melnichenko, Murray, Killian, Demmel, Mahoney, Luszczek, "Anatomy of High-Performance Column-Pivoted QR Decomposition" (arXiv 2507.00976).
//
// Legend: M rows, N columns, K = min(M, N).
#include <span>
#include <string>

#include "kernels/export.h"
#include "kernels/linalg/context.h"
#include "kernels/linalg/stages.h"
#include "kernels/matrix.h"

namespace panther::linalg {

struct BqrrpOptions {
  std::int64_t block_columns = 0;   ///< 0: chosen by size
  double sketch_factor = 1.5;       ///< rows of the sketch over block_columns
  std::string sketch = "gaussian";  ///< a name of sketch_operators()
  double rank_tolerance = 0;        ///< counts |R_ii| >= tolerance * max |R_jj| into `rank`; 0: max(M, N) eps. Nothing is truncated.
};

struct BqrrpReport {
  std::int64_t rank = 0;               ///< by rank_tolerance
  std::int64_t blocks = 0;
  std::int64_t sketches = 0;           ///< 1 in the ordinary case; more when the matrix falls off by many orders
  std::int64_t householder_panels = 0;  ///< panels where Cholesky failed and Householder QR stepped in
  std::vector<StageTime> stages;
};

struct BqrrpResult {
  Matrix factored_MN;                ///< R in the upper triangle, reflectors below: for multiply_q and form_q
  Matrix tau_K;
  std::vector<std::int64_t> pivots;  ///< column j of A P is column pivots[j] of A
  BqrrpReport report;
};

/// Throws InvalidArgument for nan and infinity (before anything is written), Unsupported without LAPACK, OutOfMemory beforehand.
PANTHER_KERNELS_API BqrrpResult bqrrp(const Context& context, const TensorView& a_MN, const BqrrpOptions& options = {});

/// Over a column-major a_MN. tau_K contiguous on the device; pivots has N entries. One process only: rows cannot be split over ranks.
PANTHER_KERNELS_API BqrrpReport bqrrp_in_place(const Context& context, const TensorView& a_MN, const TensorView& tau_K, std::span<std::int64_t> pivots,
                                               const BqrrpOptions& options = {});

/// What bqrrp_in_place allocates at most; bqrrp needs the matrix once more.
PANTHER_KERNELS_API std::int64_t bqrrp_scratch_bytes(std::int64_t rows, std::int64_t columns, DType dtype, const BqrrpOptions& options = {});

}  // namespace panther::linalg
