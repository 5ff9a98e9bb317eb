#include "kernels/linalg/interpolative.h"

#include <algorithm>
#include <cmath>

#include "core/error.h"
#include "kernels/linalg/orthonormalize.h"
#include "kernels/linalg/residual.h"

namespace panther::linalg {
namespace {

void check_options(const char* routine, const Input& input, const InterpolativeOptions& options) {
  const std::int64_t most = std::min(input.rows, input.columns);
  PANTHER_REQUIRE(options.rank >= 1 && options.rank <= most, routine, ": rank ", options.rank, " of a ", input.rows, " x ", input.columns,
                  " matrix must be in [1, ", most, "]");
  PANTHER_REQUIRE(options.oversampling >= 0 && options.power_iterations >= 0, routine, ": oversampling ", options.oversampling,
                  " and power iterations ", options.power_iterations, " must not be negative");
}

void require_whole(const Context& context, const char* routine) {
  if (context.sum_over_ranks) fail(ErrorCode::Unsupported, routine, ": rows are split over ranks; column_id works on split rows, or gather the matrix");
}

/// Rows that span the leading row space: S A (A^T A)^q, orthonormalised between.
Matrix row_sketch(const Arithmetic& maths, const Input& input, std::int64_t size, const InterpolativeOptions& options) {
  const Context whole = replicated(maths.context());
  const Matrix first = maths.sketch_rows(*maths.sketch(options.sketch, size, input.rows, "interpolative"), input.view);
  Matrix columns = maths.copy_of(first.view().transposed());
  for (int i = 0; i < options.power_iterations; ++i) {
    orthonormalize(whole, columns.view());
    const Matrix product = maths.product(input.view, columns.view());
    orthonormalize(maths.context(), product.view());
    columns = maths.inner_product(input.view, product.view());
  }
  return maths.copy_of(columns.view().transposed());
}

struct Selection {
  std::vector<std::int64_t> pivots;
  Matrix factored;
};

Selection pivoted(const Arithmetic& maths, Matrix matrix) {
  Selection result{std::vector<std::int64_t>(static_cast<std::size_t>(matrix.columns())), std::move(matrix)};
  const Matrix tau = maths.matrix(std::min(result.factored.rows(), result.factored.columns()), 1);
  maths.lapack().qr_pivoted(result.factored.view(), tau.column(0), result.pivots, maths.allocator(), maths.stream());
  return result;
}

/// Pivots beyond the numerical rank get zero weight instead of a division by rounding.
std::int64_t numerical_rank(const Arithmetic& maths, const Matrix& factored, std::int64_t rank) {
  const std::vector<double> r = maths.download(factored.block(0, rank, 0, rank));
  const double floor = std::abs(r.front()) * maths.unit_roundoff() * static_cast<double>(rank);
  std::int64_t usable = 0;
  while (usable < rank && std::abs(r[static_cast<std::size_t>(usable * rank + usable)]) > floor) ++usable;
  return usable;
}

/// [I T] P^T with T = R11^-1 R12.
Matrix weights_of(const Arithmetic& maths, const Selection& selection, std::int64_t rank) {
  const std::int64_t columns = selection.factored.columns(), usable = numerical_rank(maths, selection.factored, rank);
  const Matrix ordered = maths.zeros(rank, columns);
  maths.lapack().fill('A', 0, 1, ordered.block(0, rank, 0, rank), maths.stream());
  if (usable > 0 && columns > rank) {
    const TensorView t = ordered.block(0, usable, rank, columns - rank);
    maths.copy(selection.factored.block(0, usable, rank, columns - rank), t);
    maths.lapack().solve_upper(Side::left, false, 1, selection.factored.block(0, usable, 0, usable), t, maths.allocator(), maths.stream());
  }
  std::vector<std::int64_t> places(static_cast<std::size_t>(columns));
  for (std::int64_t j = 0; j < columns; ++j) places[static_cast<std::size_t>(selection.pivots[static_cast<std::size_t>(j)])] = j;
  Matrix weights = maths.matrix(rank, columns);
  maths.lapack().gather_columns(ordered.view(), places, weights.view(), maths.allocator(), maths.stream());
  return weights;
}

Matrix gathered(const Arithmetic& maths, const TensorView& source, const std::vector<std::int64_t>& columns) {
  Matrix result = maths.matrix(source.shape[0], static_cast<std::int64_t>(columns.size()));
  for (std::size_t j = 0; j < columns.size(); ++j) {
    maths.copy(source.transposed().slice(columns[j], 1).transposed(), result.columns_from(static_cast<std::int64_t>(j), 1));
  }
  return result;
}

ColumnId column_id_of(const Arithmetic& maths, const Input& input, const InterpolativeOptions& options) {
  const std::int64_t size = std::min({options.rank + options.oversampling, input.rows, input.columns});
  const Selection selection = pivoted(maths, row_sketch(maths, input, size, options));
  ColumnId result;
  result.columns.assign(selection.pivots.begin(), selection.pivots.begin() + options.rank);
  result.weights_KN = weights_of(maths, selection, options.rank);
  result.iterations = options.power_iterations;
  result.passes = 2 + 2 * options.power_iterations;
  result.error_floor = maths.unit_roundoff() * std::sqrt(static_cast<double>(input.columns));
  const double norm = std::sqrt(maths.sum(maths.squared_norm(input.view)));
  const Matrix chosen = gathered(maths, input.view, result.columns), weights = maths.copy_of(result.weights_KN.view().transposed());
  result.relative_error = norm > 0 ? residual_norm(maths, input.view, chosen.view(), weights.view()) / norm : 0;
  return result;
}

/// a^+ b for a of full column rank but for rounding, by SVD of its triangle.
Matrix pseudo_solve(const Arithmetic& maths, const TensorView& a_MK, const TensorView& b_ML) {
  const std::int64_t size = a_MK.shape[1];
  const Matrix q = maths.copy_of(a_MK), r = maths.matrix(size, size), left = maths.matrix(size, size), s = maths.matrix(size, 1),
               right = maths.matrix(size, size);
  orthonormalize(maths.context(), q.view(), r.view());
  maths.lapack().svd(r.view(), left.view(), s.column(0), right.view(), maths.allocator(), maths.stream());
  const std::vector<double> values = maths.download(s.view());
  const double floor = 10 * values.front() * maths.unit_roundoff() * static_cast<double>(std::max(a_MK.shape[0], size));
  for (std::int64_t j = 0; j < size; ++j) {
    const double value = values[static_cast<std::size_t>(j)];
    maths.context().kernels.scale(value > floor ? 1 / value : 0, left.column(j), maths.stream());
  }
  const Matrix projected = maths.product(left.view().transposed(), maths.product(q.view().transposed(), b_ML).view());
  return maths.product(right.view().transposed(), projected.view());
}

}  // namespace

ColumnId column_id(const Context& context, const TensorView& a_MN, const InterpolativeOptions& options) {
  const Arithmetic maths(context, a_MN.dtype, a_MN.device);
  const Input input = checked_input(context, a_MN, "column_id");
  check_options("column_id", input, options);
  return column_id_of(maths, input, options);
}

RowId row_id(const Context& context, const TensorView& a_MN, const InterpolativeOptions& options) {
  require_whole(context, "row_id");
  const Input input = checked_input(context, a_MN, "row_id");
  const Context whole = replicated(context);  // its matrices have M rows and N rows
  const Arithmetic maths(whole, a_MN.dtype, a_MN.device);
  check_options("row_id", input, options);
  const Input flipped{Matrix(), input.view.transposed(), input.columns, input.rows};
  ColumnId found = column_id_of(maths, flipped, options);
  return {std::move(found.columns), maths.copy_of(found.weights_KN.view().transposed()), found.relative_error, found.error_floor, found.iterations,
          found.passes};
}

CurResult cur(const Context& context, const TensorView& a_MN, const InterpolativeOptions& options) {
  require_whole(context, "cur");
  const Input input = checked_input(context, a_MN, "cur");
  const Context whole = replicated(context);  // its matrices have M rows and N rows
  const Arithmetic maths(whole, a_MN.dtype, a_MN.device);
  check_options("cur", input, options);
  const std::int64_t size = std::min({options.rank + options.oversampling, input.rows, input.columns});
  CurResult result;
  const Selection columns = pivoted(maths, row_sketch(maths, input, size, options));
  result.columns.assign(columns.pivots.begin(), columns.pivots.begin() + options.rank);
  result.c_MK = gathered(maths, input.view, result.columns);
  // Rows where an orthonormal basis of the columns is large, so that small columns count too.
  const Matrix basis = maths.copy_of(result.c_MK.view());
  orthonormalize(whole, basis.view());
  const Selection rows = pivoted(maths, maths.copy_of(basis.view().transposed()));
  result.rows.assign(rows.pivots.begin(), rows.pivots.begin() + options.rank);
  const Matrix rt_NK = gathered(maths, input.view.transposed(), result.rows);
  result.r_KN = maths.copy_of(rt_NK.view().transposed());
  const Matrix half_KN = pseudo_solve(maths, result.c_MK.view(), input.view);
  const Matrix ut_KK = pseudo_solve(maths, rt_NK.view(), half_KN.view().transposed());
  result.u_KK = maths.copy_of(ut_KK.view().transposed());
  const double norm = std::sqrt(maths.squared_norm(input.view));
  const Matrix right_NK = maths.product(rt_NK.view(), ut_KK.view());
  result.relative_error = norm > 0 ? residual_norm(maths, input.view, result.c_MK.view(), right_NK.view()) / norm : 0;
  result.error_floor = maths.unit_roundoff() * std::sqrt(static_cast<double>(input.columns));
  result.iterations = options.power_iterations;
  result.passes = 3 + 2 * options.power_iterations;
  return result;
}

}  // namespace panther::linalg
