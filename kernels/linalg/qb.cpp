#include "kernels/linalg/qb.h"

#include <algorithm>
#include <cmath>

#include "core/error.h"
#include "kernels/linalg/memory_need.h"
#include "kernels/linalg/orthonormalize.h"
#include "kernels/linalg/residual.h"

namespace panther::linalg {
namespace {

class Builder {
 public:
  Builder(const Arithmetic& maths, const Input& input, const QbOptions& options)
      : maths_(maths), whole_(replicated(maths.context())), input_(input), options_(options),
        most_(options.rank > 0 ? options.rank : std::min(input.rows, input.columns)) {
    result_.norm = std::sqrt(maths_.sum(maths_.squared_norm(input_.view)));
    result_.error_floor = maths_.indicator_floor();
    result_.relative_error = result_.norm > 0 ? 1 : 0;
    reserve(options.tolerance > 0 ? std::min(most_, 4 * options.block) : most_);
  }

  QbResult run() {
    while (size_ < most_) {
      const double before = result_.relative_error;
      add_block(std::min(options_.block, most_ - size_));
      measure();
      maths_.context().tell("qb: block", static_cast<double>(size_) / static_cast<double>(most_));
      if (options_.tolerance <= 0) continue;
      if (result_.relative_error <= options_.tolerance) break;
      if (result_.error_kind == ErrorKind::residual && result_.relative_error > 0.9 * before && last_was_residual_) break;
      last_was_residual_ = result_.error_kind == ErrorKind::residual;
    }
    result_.reached_tolerance = options_.tolerance <= 0 || result_.relative_error <= options_.tolerance;
    if (options_.trim && options_.tolerance > 0 && result_.reached_tolerance && result_.error_kind == ErrorKind::indicator) trim();
    result_.q_MK = maths_.copy_of(q());
    result_.bt_NK = maths_.copy_of(bt());
    return std::move(result_);
  }

 private:
  TensorView q() const { return q_.columns_from(0, size_); }
  TensorView bt() const { return bt_.columns_from(0, size_); }

  void reserve(std::int64_t columns) {
    if (columns <= q_.columns()) return;
    require_memory(maths_.context(), "qb",
                   2.0 * static_cast<double>(columns) * static_cast<double>(input_.view.shape[0] + input_.columns) * static_cast<double>(size_of(maths_.dtype())),
                   maths_.device());
    Matrix q = maths_.matrix(input_.view.shape[0], columns), bt = maths_.matrix(input_.columns, columns);
    if (size_ > 0) maths_.copy(this->q(), q.columns_from(0, size_)), maths_.copy(this->bt(), bt.columns_from(0, size_));
    q_ = std::move(q);
    bt_ = std::move(bt);
  }

  /// y = A x - Q (B x)
  void deflated_product(const TensorView& x_NB, const TensorView& y_MB) {
    maths_.multiply(1, input_.view, x_NB, 0, y_MB);
    if (size_ > 0) maths_.multiply(-1, q(), maths_.product(bt().transposed(), x_NB).view(), 1, y_MB);
    ++result_.passes;
  }

  void add_block(std::int64_t columns) {
    if (size_ + columns > q_.columns()) reserve(std::min(most_, 2 * q_.columns()));
    const TensorView y = q_.columns_from(size_, columns), w = bt_.columns_from(size_, columns);
    const auto sketch = maths_.sketch(options_.sketch, columns, input_.columns, "qb." + std::to_string(result_.blocks));
    const Matrix first = maths_.matrix(input_.columns, columns);
    sketch->materialize(maths_.context().sketch(), {}, sketch->isometry_scale(), first.view().transposed());
    deflated_product(first.view(), y);
    orthonormalize_against(maths_.context(), q(), y);
    for (int i = 0; i < options_.power_iterations; ++i) {
      transposed_product(y, w);
      // The block may be wider than what is left of the row space; the excess directions are rounding and do no harm.
      orthonormalize(whole_, w);
      deflated_product(w, y);
      orthonormalize_against(maths_.context(), q(), y);
    }
    transposed_product(y, w);
    size_ += columns;
    ++result_.blocks;
  }

  /// w = A^T y; y is orthogonal to Q, so this is the deflated product too.
  void transposed_product(const TensorView& y_MB, const TensorView& w_NB) {
    const Matrix product = maths_.inner_product(input_.view, y_MB);
    maths_.copy(product.view(), w_NB);
    ++result_.passes;
  }

  void measure() {
    const double captured = std::sqrt(maths_.squared_norm(bt()));
    const double indicator = error_indicator(result_.norm, std::min(result_.norm, captured));
    const double trusted = 10 * maths_.indicator_floor();
    result_.error_kind = ErrorKind::indicator;
    result_.error_floor = maths_.indicator_floor();
    result_.relative_error = indicator;
    if (options_.tolerance <= 0 || result_.norm == 0 || indicator > trusted || options_.tolerance >= trusted) return;
    result_.error_kind = ErrorKind::residual;
    result_.relative_error = residual_norm(maths_, input_.view, q(), bt()) / result_.norm;
    result_.error_floor = maths_.unit_roundoff();
    ++result_.passes;
  }

  /// Drops trailing columns that the tolerance does not need; Q B loses exactly their rows of B.
  void trim() {
    const std::vector<double> squares = maths_.column_squares(bt());
    const double scale = result_.norm > 0 ? 1 / (result_.norm * result_.norm) : 0, limit = options_.tolerance * options_.tolerance;
    double square = result_.relative_error * result_.relative_error;
    while (size_ > 1 && square + squares[static_cast<std::size_t>(size_ - 1)] * scale <= limit) square += squares[static_cast<std::size_t>(--size_)] * scale;
    result_.relative_error = std::sqrt(square);
  }

  const Arithmetic& maths_;
  Context whole_;
  const Input& input_;
  const QbOptions& options_;
  std::int64_t most_, size_ = 0;
  Matrix q_, bt_;
  bool last_was_residual_ = false;
  QbResult result_;
};

void check_options(const Input& input, const QbOptions& options) {
  const std::int64_t most = std::min(input.rows, input.columns);
  PANTHER_REQUIRE((options.rank >= 1 || (options.rank == 0 && options.tolerance > 0)) && options.rank <= most, "qb: rank ", options.rank, " of a ",
                  input.rows, " x ", input.columns, " matrix must be in [1, ", most, "], or 0 with a tolerance");
  PANTHER_REQUIRE(options.tolerance >= 0 && options.tolerance < 1, "qb: tolerance ", options.tolerance, " is relative and must be in [0, 1)");
  PANTHER_REQUIRE(options.block >= 1 && options.power_iterations >= 0, "qb: block ", options.block, " must be positive and power iterations ",
                  options.power_iterations, " not negative");
}

}  // namespace

QbResult qb(const Context& context, const TensorView& a_MN, const QbOptions& options) {
  const Arithmetic maths(context, a_MN.dtype, a_MN.device);
  const Input input = checked_input(context, a_MN, "qb");
  check_options(input, options);
  return Builder(maths, input, options).run();
}

std::vector<double> truncate_qb(const Arithmetic& maths, const TensorView& q_MK, const TensorView& bt_NK, std::int64_t rank, SvdResult& result) {
  const std::int64_t size = bt_NK.shape[1];
  const Context whole = replicated(maths.context());
  // B^T = P R, so Q B = Q R^T P^T and only R (K x K) needs an SVD.
  const Matrix p = maths.copy_of(bt_NK), r = maths.matrix(size, size), left = maths.matrix(size, size), s = maths.matrix(size, 1),
               right = maths.matrix(size, size);
  orthonormalize(whole, p.view(), r.view());
  maths.lapack().svd(r.view(), left.view(), s.column(0), right.view(), maths.allocator(), maths.stream());
  result.u_MK = maths.product(q_MK, right.view().slice(0, rank).transposed());
  result.v_NK = maths.product(p.view(), left.columns_from(0, rank));
  result.s_K = maths.copy_of(s.view().slice(0, rank));
  std::vector<double> values = maths.download(s.view());
  double sum = 0;
  for (std::int64_t i = 0; i < rank; ++i) sum += values[static_cast<std::size_t>(i)] * values[static_cast<std::size_t>(i)];
  result.relative_error = std::sqrt(sum);
  return values;
}

}  // namespace panther::linalg
