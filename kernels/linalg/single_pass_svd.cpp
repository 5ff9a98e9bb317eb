#include "kernels/linalg/single_pass_svd.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "core/error.h"
#include "kernels/linalg/arithmetic.h"
#include "kernels/linalg/memory_need.h"
#include "kernels/linalg/orthonormalize.h"

namespace panther::linalg {

struct SinglePassSvd::State {
  Context context;
  Arithmetic maths;
  SinglePassOptions options;
  std::int64_t rows, local_rows, columns;
  std::unique_ptr<SketchOperator> omega, psi, theta;
  Matrix y_MK, w_LN, t_TN;
  double square = 0;
  std::vector<bool> seen;

  State(const Context& outer, DType dtype, Device device, std::int64_t local, std::int64_t width, const SinglePassOptions& wanted)
      : context(outer), maths(context, dtype, device), options(wanted), rows(outer.total_rows < 0 ? local : outer.total_rows), local_rows(local),
        columns(width) {}

  void choose_sizes() {
    const std::int64_t most = std::min(rows, columns);
    PANTHER_REQUIRE(rows > 0 && columns > 0, "single_pass_svd: a matrix of ", rows, " x ", columns, " is empty");
    PANTHER_REQUIRE(options.rank >= 1 && options.rank <= most, "single_pass_svd: rank ", options.rank, " of a ", rows, " x ", columns,
                    " matrix must be in [1, ", most, "]");
    if (options.range_size == 0) options.range_size = std::min(most, 2 * options.rank + 1);
    if (options.corange_size == 0) options.corange_size = std::min(rows, 2 * options.range_size + 1);
    PANTHER_REQUIRE(options.range_size >= options.rank && options.range_size <= most, "single_pass_svd: range_size ", options.range_size,
                    " must be in [rank, ", most, "]");
    PANTHER_REQUIRE(options.corange_size >= options.range_size && options.corange_size <= rows, "single_pass_svd: corange_size ",
                    options.corange_size, " must be in [range_size, ", rows, "]");
    PANTHER_REQUIRE(options.test_size >= 0, "single_pass_svd: test_size ", options.test_size, " must not be negative");
  }

  void allocate() {
    const double entries = static_cast<double>(options.range_size) * static_cast<double>(2 * local_rows + columns) +
                           2.0 * static_cast<double>(options.corange_size + options.test_size) * static_cast<double>(columns);
    require_memory(context, "single_pass_svd", entries * static_cast<double>(size_of(maths.dtype())), maths.device());
    omega = maths.sketch(options.sketch, options.range_size, columns, "single_pass.range");
    psi = maths.sketch(options.sketch, options.corange_size, rows, "single_pass.corange");
    y_MK = maths.zeros(local_rows, options.range_size);
    w_LN = maths.zeros(options.corange_size, columns);
    seen.assign(static_cast<std::size_t>(local_rows), false);
    if (options.test_size == 0) return;
    theta = maths.sketch("gaussian", options.test_size, rows, "single_pass.test");
    t_TN = maths.zeros(options.test_size, columns);
  }

  void claim(std::int64_t first, std::int64_t count) {
    const std::int64_t begin = first - context.first_row;
    PANTHER_REQUIRE(begin >= 0 && begin + count <= local_rows, "single_pass_svd: rows [", first, ", ", first + count,
                    ") are not within this rank's [", context.first_row, ", ", context.first_row + local_rows, ")");
    for (std::int64_t i = begin; i < begin + count; ++i) {
      PANTHER_REQUIRE(!seen[static_cast<std::size_t>(i)], "single_pass_svd: row ", context.first_row + i, " was added before");
    }
    std::fill_n(seen.begin() + begin, count, true);
  }

  /// sum += S[:, rows] a
  void accumulate(const SketchOperator& sketch, std::int64_t first, const TensorView& a, const Matrix& sum) {
    sketch.apply(maths.context().sketch(), false, {0, -1, first, a.shape[0]}, sketch.isometry_scale(), a, 1, sum.view());
  }

  double sampled_error(const SvdResult& result, const Matrix& test_of_u) {
    if (options.test_size == 0) return 0;
    const Matrix scaled = maths.copy_of(result.v_NK.view());
    scale_columns(scaled, maths.download(result.s_K.view()));
    maths.multiply(-1, test_of_u.view(), scaled.view().transposed(), 1, t_TN.view());
    const double norm = std::sqrt(maths.sum(square));
    return norm > 0 ? std::sqrt(maths.squared_norm(t_TN.view())) / norm : 0;
  }

  void scale_columns(const Matrix& matrix, const std::vector<double>& factors) {
    for (std::int64_t j = 0; j < matrix.columns(); ++j) {
      TensorView column = matrix.column(j);
      column.strides[0] = 1;
      context.kernels.scale(factors[static_cast<std::size_t>(j)], column, context.stream);
    }
  }
};

SinglePassSvd::SinglePassSvd(const Context& context, DType dtype, Device device, std::int64_t local_rows, std::int64_t columns,
                             const SinglePassOptions& options)
    : state_(std::make_unique<State>(context, dtype, device, local_rows, columns, options)) {
  PANTHER_REQUIRE(local_rows >= 0 && context.first_row >= 0 && context.first_row + local_rows <= state_->rows, "single_pass_svd: rows [",
                  context.first_row, ", ", context.first_row + local_rows, ") are not within the matrix's ", state_->rows);
  state_->choose_sizes();
  state_->allocate();
}

SinglePassSvd::~SinglePassSvd() = default;
SinglePassSvd::SinglePassSvd(SinglePassSvd&&) noexcept = default;

void SinglePassSvd::add_rows(std::int64_t first_row, const TensorView& rows) {
  State& s = *state_;
  PANTHER_REQUIRE(s.psi != nullptr, "single_pass_svd: finish() was called; begin anew");
  PANTHER_REQUIRE(rows.dims == 2 && rows.shape[1] == s.columns && rows.dtype == s.maths.dtype(), "single_pass_svd: rows of ", s.columns, " ",
                  dtype_name(s.maths.dtype()), " entries are needed");
  if (rows.shape[0] == 0) return;
  Context block = replicated(s.context);
  const Input input = checked_input(block, rows, "single_pass_svd");
  s.claim(first_row, rows.shape[0]);
  const TensorView out = s.y_MK.view().slice(first_row - s.context.first_row, rows.shape[0]);
  apply_right(*s.omega, s.context.sketch(), true, s.omega->isometry_scale(), input.view, 0, out);
  s.accumulate(*s.psi, first_row, input.view, s.w_LN);
  if (s.theta) s.accumulate(*s.theta, first_row, input.view, s.t_TN);
  s.square += s.maths.squared_norm(input.view);
}

std::int64_t SinglePassSvd::rows_added() const noexcept { return std::count(state_->seen.begin(), state_->seen.end(), true); }

SvdResult SinglePassSvd::finish() {
  State& s = *state_;
  PANTHER_REQUIRE(s.psi != nullptr, "single_pass_svd: finish() was called before");
  const auto missing = std::find(s.seen.begin(), s.seen.end(), false);
  const bool complete = s.maths.sum(missing == s.seen.end() ? 0.0 : 1.0) == 0;
  PANTHER_REQUIRE(complete, "single_pass_svd: row ", s.context.first_row + (missing - s.seen.begin()), " of this or another rank was never added");
  s.maths.sum(s.w_LN);
  const std::int64_t k = s.options.range_size, l = s.options.corange_size, rank = s.options.rank;
  orthonormalize(s.context, s.y_MK.view());
  // X = (Psi Q)^+ W by QR: Psi Q = P R.
  const Matrix small = s.maths.sketch_rows(*s.psi, s.y_MK.view()), tau = s.maths.matrix(k, 1);
  s.maths.lapack().qr(small.view(), tau.column(0), s.maths.allocator(), s.maths.stream());
  s.maths.lapack().multiply_q(true, small.view(), tau.column(0), s.w_LN.view(), s.maths.allocator(), s.maths.stream());
  const Matrix x_KN = s.maths.copy_of(s.w_LN.block(0, k, 0, s.columns));
  s.maths.lapack().solve_upper(Side::left, false, 1, small.block(0, k, 0, k), x_KN.view(), s.maths.allocator(), s.maths.stream());
  const Matrix xt_NK = s.maths.copy_of(x_KN.view().transposed()), r = s.maths.matrix(k, k);
  orthonormalize(replicated(s.context), xt_NK.view(), r.view());
  const Matrix left = s.maths.matrix(k, k), values = s.maths.matrix(k, 1), right = s.maths.matrix(k, k);
  s.maths.lapack().svd(r.view(), left.view(), values.column(0), right.view(), s.maths.allocator(), s.maths.stream());

  SvdResult result;
  result.u_MK = s.maths.product(s.y_MK.view(), right.view().slice(0, rank).transposed());
  result.v_NK = s.maths.product(xt_NK.view(), left.columns_from(0, rank));
  result.s_K = s.maths.copy_of(values.view().slice(0, rank));
  result.error_kind = ErrorKind::sampled;
  result.error_floor = s.maths.unit_roundoff() * static_cast<double>(l);
  result.passes = result.iterations = 1;
  if (s.theta) {
    s.maths.sum(s.t_TN);
    result.relative_error = s.sampled_error(result, s.maths.sketch_rows(*s.theta, result.u_MK.view()));
  }
  s.psi.reset();
  return result;
}

SvdResult single_pass_svd(const Context& context, const TensorView& a_MN, const SinglePassOptions& options) {
  const Input input = checked_input(context, a_MN, "single_pass_svd");
  SinglePassSvd stream(context, a_MN.dtype, a_MN.device, a_MN.shape[0], input.columns, options);
  stream.add_rows(context.first_row, input.view);
  return stream.finish();
}

}  // namespace panther::linalg
