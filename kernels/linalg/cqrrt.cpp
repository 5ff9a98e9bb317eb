#include "kernels/linalg/cqrrt.h"

#include <algorithm>
#include <cmath>

#include "core/error.h"
#include "kernels/linalg/blocks.h"
#include "kernels/linalg/cholesky_qr.h"
#include "kernels/linalg/memory_need.h"
#include "kernels/linalg/qr_check.h"

namespace panther::linalg {
namespace {

std::int64_t sketch_rows(std::int64_t columns, const CqrrtOptions& options) {
  return std::max(columns, static_cast<std::int64_t>(std::ceil(options.sketch_factor * static_cast<double>(columns))));
}

/// The sketch, and over it its QR. Every rank does the same.
Matrix sketched_r(const Context& context, const TensorView& q_MN, const CqrrtOptions& options) {
  const LapackKernels& lapack = lapack_of(context);
  const std::int64_t columns_N = q_MN.shape[1], rows = sketch_rows(columns_N, options);
  const std::unique_ptr<SketchOperator> s = make_row_sketch(context, options.sketch, rows, context.rows_of(q_MN), "cqrrt", options.nonzeros);
  Matrix sketch = make_matrix(context, q_MN, rows, columns_N);
  const Matrix tau = make_matrix(context, q_MN, columns_N, 1);
  apply_row_split(*s, context.sketch(), context.first_row, s->isometry_scale(), q_MN, sketch.view(), {});
  sum_over_ranks(context, sketch.view());
  require_finite(context, q_MN, sketch.view(), "cqrrt");
  lapack.qr(sketch.view(), head(tau.view(), columns_N), context.allocator, context.stream);
  return sketch;
}

void require_full_rank(const Context& context, const Matrix& sketch, std::int64_t columns_N) {
  const std::vector<double> entries = to_host(context, diagonal(sketch.view(), columns_N));
  for (std::int64_t j = 0; j < columns_N; ++j) {
    PANTHER_REQUIRE(entries[static_cast<std::size_t>(j)] != 0, "cqrrt: column ", j, " depends on those before it: use cqrrpt, which finds the rank");
  }
}

/// Makes the diagonal of R positive: signs move into Q's columns. Householder QR of the sketch leaves either.
void fix_signs(const Context& context, const Matrix& q, const Matrix& r) {
  const std::vector<double> entries = to_host(context, diagonal(r.view(), r.rows()));
  for (std::int64_t j = 0; j < r.rows(); ++j) {
    if (entries[static_cast<std::size_t>(j)] >= 0) continue;
    context.kernels.scale(-1, q.column(j), context.stream);
    const Matrix row = copy_of(context, block(r.view(), j, 1, j, r.columns() - j));
    context.kernels.scale(-1, row.view(), context.stream);
    context.kernels.cast(row.view(), block(r.view(), j, 1, j, r.columns() - j), context.stream);
  }
}

}  // namespace

CqrrtResult cqrrt(const Context& context, const TensorView& a_MN, const CqrrtOptions& options) {
  require_input(context, a_MN, "cqrrt");
  const std::int64_t columns_N = a_MN.shape[1], total = context.rows_of(a_MN);
  PANTHER_REQUIRE(total >= columns_N, "cqrrt: ", total, " rows and ", columns_N, " columns: a tall matrix is needed; use bqrrp");
  PANTHER_REQUIRE(options.sketch_factor >= 1, "cqrrt: a sketch factor of ", options.sketch_factor, " is below 1");
  require_memory(context, "cqrrt", static_cast<double>(cqrrt_bytes(a_MN.shape[0], columns_N, a_MN.dtype, options)), a_MN.device);
  const LapackKernels& lapack = lapack_of(context);
  StageClock clock(context);
  CqrrtResult result;
  clock.begin("copy", 0);
  result.q_MN = copy_of(context, a_MN);
  if (columns_N == 0) {
    result.r_NN = make_matrix(context, a_MN, 0, 0);
    result.quality = {0, 0};
    return result;
  }
  clock.begin("sketch", 0.03);
  const Matrix sketch = sketched_r(context, result.q_MN.view(), options);
  require_full_rank(context, sketch, columns_N);
  result.r_NN = copy_of(context, block(sketch.view(), 0, columns_N, 0, columns_N));
  lapack.fill('L', 0, 0, result.r_NN.view(), context.stream);
  clock.begin("precondition", 0.1);
  lapack.solve_upper(Side::right, false, 1, result.r_NN.view(), result.q_MN.view(), context.allocator, context.stream);
  clock.begin("orthogonalize", 0.4);
  const CholeskyQr factor = cholesky_qr(context, result.q_MN.view());
  PANTHER_REQUIRE(factor.rank == columns_N, "cqrrt: rank ", factor.rank, " of ", columns_N, " columns: use cqrrpt, which finds the rank");
  result.passes = factor.passes;
  result.shifted = factor.shifted;
  const Matrix narrow = copy_of(context, factor.r_KK.view(), a_MN.dtype);
  lapack.multiply_upper(Side::left, false, narrow.view(), result.r_NN.view(), context.allocator, context.stream);
  fix_signs(context, result.q_MN, result.r_NN);
  if (options.estimate_error) {
    clock.begin("estimate error", 0.95);
    result.quality = estimate_quality(context, a_MN, {}, result.q_MN.view(), result.r_NN.view());
  }
  result.stages = clock.finish();
  return result;
}

std::int64_t cqrrt_bytes(std::int64_t rows, std::int64_t columns, DType dtype, const CqrrtOptions& options) {
  const auto size = static_cast<std::int64_t>(size_of(dtype));
  return (rows * columns + sketch_rows(columns, options) * columns) * size + columns * columns * (size + 3 * 8);
}

}  // namespace panther::linalg
