#pragma once
// Factorizations in a matrix's own columns and rows.
#include <string>
#include <vector>

#include "kernels/linalg/context.h"
#include "kernels/matrix.h"

namespace panther::linalg {

struct InterpolativeOptions {
  std::int64_t rank = 0;
  std::int64_t oversampling = 10;
  int power_iterations = 1;        ///< on the sketch; more pick better columns on slow decay
  std::string sketch = "gaussian";
};

/// Entries of relative_error in these results are explicit residuals (one more product over the matrix).
struct ColumnId {
  std::vector<std::int64_t> columns;  ///< K distinct indices, by importance; equal on every rank
  Matrix weights_KN;                  ///< A ~ A[:, columns] weights; weights[:, columns] is the identity
  double relative_error = 0;          ///< ||A - A[:, columns] weights||_F / ||A||_F
  double error_floor = 0;
  int iterations = 0;
  int passes = 0;
};

struct RowId {
  std::vector<std::int64_t> rows;
  Matrix weights_MK;                  ///< A ~ weights A[rows, :]
  double relative_error = 0;
  double error_floor = 0;
  int iterations = 0;
  int passes = 0;
};

struct CurResult {
  std::vector<std::int64_t> columns, rows;
  Matrix c_MK;  ///< A[:, columns]
  Matrix u_KK;  ///< C^+ A R^+: the best middle factor in the Frobenius norm
  Matrix r_KN;  ///< A[rows, :]
  double relative_error = 0;  ///< ||A - C U R||_F / ||A||_F
  double error_floor = 0;
  int iterations = 0;
  int passes = 0;
};

/// Pivoted QR of a sketch S A (k + p rows) picks the columns and gives the weights (Voronin, Martinsson, arXiv 1502.05366). Rows may be split over
/// ranks. Throws as rsvd does.
PANTHER_KERNELS_API ColumnId column_id(const Context& context, const TensorView& a_MN, const InterpolativeOptions& options);
/// column_id of the transpose. One process only: Unsupported when rows are split.
PANTHER_KERNELS_API RowId row_id(const Context& context, const TensorView& a_MN, const InterpolativeOptions& options);
/// Columns by column_id, rows by pivoted QR of those columns' transpose. One process only: Unsupported when rows are split.
PANTHER_KERNELS_API CurResult cur(const Context& context, const TensorView& a_MN, const InterpolativeOptions& options);

}  // namespace panther::linalg
