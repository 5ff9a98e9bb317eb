// panther linalg lstsq: sketch-and-precondition with LSQR, or LAPACK's Householder QR.
#include <algorithm>
#include <cmath>

#include "core/error.h"
#include "kernels/linalg/lapack_kernels.h"
#include "kernels/linalg/least_squares.h"
#include "tools/linalg/work.h"

namespace panther::tools {
namespace {

Matrix solve_by_sketch(const Work& work, const Matrix& a, const Matrix& b) {
  linalg::LeastSquaresOptions options;
  options.tolerance = work.request.tolerance.value_or(0);
  linalg::LeastSquaresResult found = linalg::least_squares(work.context, a.view(), b.view(), options);
  LinalgReport& report = work.report;
  report.rank = found.rank;
  report.error_estimate = found.relative_residual;
  report.iterations = found.iterations;
  const double m = static_cast<double>(a.rows()), n = static_cast<double>(a.columns()), columns = static_cast<double>(b.columns());
  report.flops = 2 * options.oversampling * n * n * n + 4 * m * n * found.iterations * columns;
  report.notes.push_back(
      concat("gradient ||A^T (b - A x)|| / (||A|| (||A|| ||x|| + ||b||)) = ", found.gradient, "; ||x - x*|| / ||x|| about ", found.error_estimate));
  if (found.minimum_norm)
    report.notes.push_back(concat("A has numerical rank ", found.rank, " of ", a.columns(), ": x is the solution of least norm"));
  if (!found.reached_tolerance)
    report.notes.push_back("the tolerance was not reached: x is as good as rounding allows, or give --dtype f64");
  return std::move(found.x_NC);
}

/// A diagonal entry of R at rounding level would divide by noise, or by zero.
void require_full_rank(const TensorView& r_NN) {
  const std::int64_t n = r_NN.shape[0];
  std::vector<double> entries(static_cast<std::size_t>(n));
  for (std::int64_t j = 0; j < n; ++j) {
    copy_to_host(r_NN.slice(j, 1).transposed().slice(j, 1), TensorView(&entries[static_cast<std::size_t>(j)], DType::f64, {1, 1}));
  }
  double largest = 0;
  for (double& entry : entries) largest = std::max(largest, entry = std::abs(entry));
  const double floor = static_cast<double>(n) * (r_NN.dtype == DType::f64 ? 0x1p-53 : 0x1p-24) * largest;
  for (std::int64_t j = 0; j < n; ++j) {
    PANTHER_REQUIRE(entries[static_cast<std::size_t>(j)] > floor, "A is rank deficient at column ", j, ": use --method sketch");
  }
}

/// R x = Q^T b.
Matrix solve_by_lapack(const Work& work, const Matrix& a, const Matrix& b) {
  const LapackKernels* lapack = work.context.kernels.lapack;
  if (lapack == nullptr)
    fail(ErrorCode::Unsupported, "this build has no LAPACK for ", work.report.device, "; configure with PANTHER_WITH_OPENBLAS=ON");
  PANTHER_REQUIRE(a.rows() >= a.columns(), "--method lapack takes A with at least as many rows as columns; this one is ", a.rows(), " x ",
                  a.columns());
  const std::int64_t n = a.columns();
  const Matrix tau(work.allocator(), work.device, {}, a.view().dtype, n, 1);
  lapack->qr(a.view(), tau.column(0), work.allocator(), {});
  require_full_rank(a.block(0, n, 0, n));
  lapack->multiply_q(true, a.view(), tau.column(0), b.view(), work.allocator(), {});
  Matrix x(work.allocator(), work.device, {}, a.view().dtype, n, b.columns());
  work.context.kernels.cast(b.block(0, n, 0, b.columns()), x.view(), {});
  lapack->solve_upper(Side::left, false, 1, a.block(0, n, 0, n), x.view(), work.allocator(), {});
  const double rows = static_cast<double>(a.rows()), columns = static_cast<double>(n);
  work.report.flops = 2 * rows * columns * columns - 2 * columns * columns * columns / 3;
  return x;
}

/// ||A x - b|| / ||b|| in f64, from the files.
void check(const Work& work, const TensorView& x_NC) {
  const auto done = work.begin_check();
  const MatrixInput a(work.a.file().path(), work.a.options(), DType::f64), b(work.b->file().path(), work.b->options(), DType::f64);
  std::vector<double> x(static_cast<std::size_t>(x_NC.numel())), right;
  const TensorView x_view(x.data(), DType::f64, {x_NC.shape[0], x_NC.shape[1]});
  copy_to_host(x_NC, x_view);
  double squares = 0, whole = 0;
  a.for_each_block(std::max<std::int64_t>(1, (std::int64_t{4} << 20) / a.columns()), [&](std::int64_t first, const TensorView& rows) {
    right.resize(static_cast<std::size_t>(rows.shape[0] * b.columns()));
    const TensorView target(right.data(), DType::f64, {rows.shape[0], b.columns()});
    b.read_rows(first, target);
    for (const double value : right) whole += value * value;
    cpu_kernels().gemm(-1, rows, x_view, 1, target, {}, {}, {});
    for (const double value : right) squares += value * value;
    done(static_cast<double>(first + rows.shape[0]) / static_cast<double>(a.rows()));
  });
  work.report.true_error = whole > 0 ? std::sqrt(squares / whole) : std::sqrt(squares);
}

}  // namespace

Outcome run_lstsq(const Work& work) {
  PANTHER_REQUIRE(work.b->rows() == work.a.rows(), "A has ", work.a.rows(), " rows and b has ", work.b->rows(), ": '",
                  work.request.inputs[1].string(), "' must have one row for every row of '", work.request.inputs[0].string(), "'");
  work.report.method = work.request.method == "auto" ? "sketch" : work.request.method;
  work.report.error_of = "||A x - b|| / ||b||";
  plan_memory({work.a.rows(), work.a.columns(), work.a.dtype(), work.b->columns(), 1}, work.memory_bytes, false, false);
  const Matrix b = work.b->load(work.allocator(), work.device);
  const Matrix a = work.load();
  Matrix x = work.report.method == "lapack" ? solve_by_lapack(work, a, b) : solve_by_sketch(work, a, b);
  if (work.request.check) check(work, x.view());
  Outcome outcome;
  work.b->file().layout().vector ? outcome.add_vector("x", std::move(x)) : outcome.add("x", std::move(x));
  return outcome;
}

}  // namespace panther::tools
