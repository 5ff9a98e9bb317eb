#include "kernels/linalg/least_squares.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "core/error.h"
#include "kernels/linalg/arithmetic.h"
#include "kernels/linalg/lsqr.h"
#include "kernels/linalg/memory_need.h"

namespace panther::linalg {
namespace {

constexpr double kRefinement = 1e-8;  ///< of the explicit gradient that the first run leaves

/// x = n_NR y makes A n nearly orthonormal: n = V S^-1 of the sketch, its null space left out.
struct Preconditioner {
  Matrix n_NR;
  std::int64_t rank = 0;
};

Preconditioner precondition(const Arithmetic& maths, const Input& input, const LeastSquaresOptions& options) {
  const std::int64_t n = input.columns, wanted = static_cast<std::int64_t>(std::ceil(options.oversampling * static_cast<double>(n))) + 8;
  const std::int64_t rows = std::min(wanted, std::max(input.rows, n)), extra = options.ridge > 0 ? n : 0;
  const Matrix stacked = maths.zeros(rows + extra, n), tau = maths.matrix(n, 1), triangle = maths.zeros(n, n);
  if (rows < input.rows) {
    const Matrix sketched = maths.sketch_rows(*maths.sketch(options.sketch, rows, input.rows, "least_squares"), input.view);
    maths.copy(sketched.view(), stacked.block(0, rows, 0, n));
  } else {  // the matrix is no taller than its sketch would be: take it whole
    if (input.view.shape[0] > 0) maths.copy(input.view, stacked.block(maths.context().first_row, input.view.shape[0], 0, n));
    maths.sum(stacked);
  }
  if (extra > 0) maths.lapack().fill('A', 0, std::sqrt(options.ridge), stacked.block(rows, n, 0, n), maths.stream());
  maths.lapack().qr(stacked.view(), tau.column(0), maths.allocator(), maths.stream());
  maths.copy(stacked.block(0, n, 0, n), triangle.view());
  maths.lapack().fill('L', 0, 0, triangle.view(), maths.stream());
  const Matrix u = maths.matrix(n, n), s = maths.matrix(n, 1), vt = maths.matrix(n, n);
  maths.lapack().svd(triangle.view(), u.view(), s.column(0), vt.view(), maths.allocator(), maths.stream());
  const std::vector<double> values = maths.download(s.view());
  const double relative = options.rank_tolerance > 0 ? options.rank_tolerance : static_cast<double>(std::max(input.rows, n)) * maths.unit_roundoff();
  Preconditioner result;
  while (result.rank < n && values[static_cast<std::size_t>(result.rank)] > relative * values.front()) ++result.rank;
  result.n_NR = maths.copy_of(vt.view().slice(0, result.rank).transposed());
  for (std::int64_t j = 0; j < result.rank; ++j) {
    maths.context().kernels.scale(1 / values[static_cast<std::size_t>(j)], result.n_NR.column(j), maths.stream());
  }
  return result;
}

/// One right-hand side: LSQR's u is [b - A x; -sqrt(ridge) x], its lower part whole on every rank.
class Solver {
 public:
  Solver(const Arithmetic& maths, const Input& input, const Preconditioner& preconditioner, double ridge, LeastSquaresResult& result)
      : maths_(maths), input_(input), n_NR_(preconditioner.n_NR), rank_(preconditioner.rank), root_(std::sqrt(ridge)), result_(result),
        long_(maths.matrix(input.view.shape[0], 1)), short_(maths.zeros(input.columns, 1)), x_(maths.zeros(input.columns, 1)) {}

  const Matrix& x() const { return x_; }

  /// One run of LSQR on the present residual; x moves by its solution. True when LSQR met its rule (see lsqr).
  bool refine(const TensorView& b_M1, double tolerance, double reduction, int most_iterations) {
    set_residual(b_M1);
    const LsqrOperator g{[this] { return normalize(); }, [this](const std::vector<double>& v, double alpha) { advance(v, alpha); },
                         [this] { return transposed(); }, [this](bool own) { return maths_.sum(own ? 1.0 : 0.0) != 0; }};
    const LsqrOutcome out = lsqr(g, rank_, tolerance, reduction, most_iterations);
    const Matrix step = lifted(out.y);
    const double step_norm = std::sqrt(maths_.squared_norm(step.view()));
    add(step, x_);
    const double norm = std::sqrt(maths_.squared_norm(x_.view()));
    if (norm > 0 && out.norm > 0) last_correction_ = step_norm / norm;
    iterations_ += out.iterations;
    return out.converged;
  }

  /// Explicit residual and gradient of what was found.
  void report(const TensorView& b_M1, double norm_a) {
    set_residual(b_M1);
    const double norm_b = std::sqrt(maths_.sum(maths_.squared_norm(b_M1))), residual = std::sqrt(maths_.sum(maths_.squared_norm(long_.view())));
    const Matrix gradient = maths_.inner_product(input_.view, long_.view());
    maths_.multiply(root_, short_.view(), one().view(), 1, gradient.view());
    const double slope = std::sqrt(maths_.squared_norm(gradient.view()));
    if (norm_b > 0) result_.relative_residual = std::max(result_.relative_residual, residual / norm_b);
    const double scale = norm_a * (norm_a * std::sqrt(maths_.squared_norm(x_.view())) + norm_b);
    if (scale > 0) result_.gradient = std::max(result_.gradient, slope / scale);
    result_.error_estimate = std::max(result_.error_estimate, last_correction_);
    result_.iterations = std::max(result_.iterations, iterations_);
    result_.passes += 2 * iterations_ + 2;
  }

 private:
  Matrix one() const {
    Matrix unit = maths_.matrix(1, 1);
    maths_.lapack().fill('A', 0, 1, unit.view(), maths_.stream());
    return unit;
  }
  void add(const Matrix& from, const Matrix& to) { maths_.multiply(1, from.view(), one().view(), 1, to.view()); }

  void set_residual(const TensorView& b_M1) {
    maths_.copy(b_M1, long_.view());
    maths_.multiply(-1, input_.view, x_.view(), 1, long_.view());
    maths_.copy(x_.view(), short_.view());
    maths_.context().kernels.scale(-root_, short_.column(0), maths_.stream());
  }

  double normalize() {
    const double norm = std::sqrt(maths_.sum(maths_.squared_norm(long_.view())) + maths_.squared_norm(short_.view()));
    if (norm > 0) {
      maths_.context().kernels.scale(1 / norm, long_.column(0), maths_.stream());
      maths_.context().kernels.scale(1 / norm, short_.column(0), maths_.stream());
    }
    return norm;
  }

  Matrix lifted(const std::vector<double>& y) {
    const Matrix small = maths_.matrix(rank_, 1);
    maths_.upload(y, small.view());
    return maths_.product(n_NR_.view(), small.view());
  }

  void advance(const std::vector<double>& v, double alpha) {
    const Matrix step = lifted(v);
    maths_.multiply(1, input_.view, step.view(), -alpha, long_.view());
    maths_.multiply(root_, step.view(), one().view(), -alpha, short_.view());
  }

  std::vector<double> transposed() {
    const Matrix back = maths_.inner_product(input_.view, long_.view());
    maths_.multiply(root_, short_.view(), one().view(), 1, back.view());
    return maths_.download(maths_.product(n_NR_.view().transposed(), back.view()).view());
  }

  const Arithmetic& maths_;
  const Input& input_;
  const Matrix& n_NR_;
  std::int64_t rank_;
  double root_, last_correction_ = 0;
  int iterations_ = 0;
  LeastSquaresResult& result_;
  Matrix long_, short_, x_;
};

void check_options(const Input& a, const Input& b, const TensorView& b_MC, const TensorView& a_MN, const LeastSquaresOptions& options) {
  PANTHER_REQUIRE(b.rows == a.rows && b_MC.shape[0] == a_MN.shape[0] && b_MC.dtype == a_MN.dtype, "least_squares: b of ", b_MC.shape[0],
                  " rows (", dtype_name(b_MC.dtype), ") does not belong to a of ", a_MN.shape[0], " rows (", dtype_name(a_MN.dtype), ")");
  PANTHER_REQUIRE(a.rows >= a.columns || options.ridge > 0, "least_squares: ", a.rows, " equations for ", a.columns,
                  " unknowns; give a ridge, or solve the transposed problem");
  PANTHER_REQUIRE(options.ridge >= 0 && std::isfinite(options.ridge), "least_squares: ridge ", options.ridge, " must be finite and not negative");
  PANTHER_REQUIRE(options.oversampling > 1 && options.most_iterations >= 1 && options.tolerance >= 0 && options.rank_tolerance >= 0,
                  "least_squares: oversampling ", options.oversampling, " must be above 1, iterations ", options.most_iterations,
                  " at least 1, tolerances not negative");
}

}  // namespace

LeastSquaresResult least_squares(const Context& context, const TensorView& a_MN, const TensorView& b_MC, const LeastSquaresOptions& options) {
  const Arithmetic maths(context, a_MN.dtype, a_MN.device);
  const Input a = checked_input(context, a_MN, "least_squares"), b = checked_input(context, b_MC, "least_squares (b)");
  check_options(a, b, b_MC, a_MN, options);
  const double n = static_cast<double>(a.columns);
  require_memory(context, "least_squares",
                 ((options.oversampling + 5) * n * n + 2.0 * static_cast<double>(a_MN.shape[0])) * static_cast<double>(size_of(a_MN.dtype)), a_MN.device);
  const double tolerance = options.tolerance > 0 ? options.tolerance : maths.dtype() == DType::f64 ? 1e-14 : 1e-6;
  const double norm_a = std::sqrt(maths.sum(maths.squared_norm(a.view)));
  LeastSquaresResult result;
  result.x_NC = maths.zeros(a.columns, b.columns);
  result.passes = 1;
  if (norm_a == 0) {
    result.minimum_norm = true;
    result.relative_residual = maths.sum(maths.squared_norm(b.view)) > 0 ? 1 : 0;
    return result;
  }
  const Preconditioner preconditioner = precondition(maths, a, options);
  result.rank = preconditioner.rank;
  result.minimum_norm = preconditioner.rank < a.columns && options.ridge == 0;
  for (std::int64_t c = 0; c < b.columns; ++c) {
    const Matrix column = maths.copy_of(b.view.transposed().slice(c, 1).transposed());
    Solver solver(maths, a, preconditioner, options.ridge, result);
    // The second run works on the explicit residual, which takes away what rounding left of the first (Epperly, Meier, Nakatsukasa, arXiv 2406.03468).
    bool converged = solver.refine(column.view(), tolerance, 0, options.most_iterations);
    converged = solver.refine(column.view(), 0, kRefinement, options.most_iterations) && converged;
    result.reached_tolerance = result.reached_tolerance && converged;
    solver.report(column.view(), norm_a);
    maths.copy(solver.x().view(), result.x_NC.columns_from(c, 1));
    context.tell("least_squares: solved", static_cast<double>(c + 1) / static_cast<double>(b.columns));
  }
  return result;
}

}  // namespace panther::linalg
