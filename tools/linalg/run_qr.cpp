// panther linalg qr: pivoted by cqrrpt (tall) or bqrrp, unpivoted by cqrrt, or LAPACK's geqp3.
#include <algorithm>
#include <cmath>

#include "core/error.h"
#include "kernels/linalg/bqrrp.h"
#include "kernels/linalg/cqrrpt.h"
#include "kernels/linalg/cqrrt.h"
#include "kernels/linalg/lapack_kernels.h"
#include "tools/linalg/true_error.h"
#include "tools/linalg/work.h"

namespace panther::tools {
namespace {

/// Of a thin pivoted QR of rank k with an explicit Q: both halves cost the same.
double householder_flops(double m, double n, double k) { return 2 * (2 * m * n * k - (m + n) * k * k + 2 * k * k * k / 3); }

const LapackKernels& lapack_of(const Work& work) {
  const LapackKernels* lapack = work.context.kernels.lapack;
  if (lapack == nullptr)
    fail(ErrorCode::Unsupported, "this build has no LAPACK for ", work.report.device, "; configure with PANTHER_WITH_OPENBLAS=ON");
  return *lapack;
}

Matrix matrix_like(const Work& work, const Matrix& a, std::int64_t rows, std::int64_t columns) {
  return Matrix(work.allocator(), work.device, {}, a.view().dtype, rows, columns);
}

void take_stages(const Work& work, const std::vector<linalg::StageTime>& stages) {
  for (const linalg::StageTime& stage : stages) work.report.stages.push_back({concat("decompose: ", stage.name), stage.seconds});
}

/// Q and R, cut to --rank: A P - Q_k R_k is Q times what R has below row k, so its norm is known.
void add_factors(const Work& work, Matrix q, Matrix r, Outcome& outcome) {
  const std::int64_t whole = q.columns(), rank = std::min(work.request.rank.value_or(whole), whole);
  work.report.rank = rank;
  if (rank == whole) {
    outcome.add("q", std::move(q));
    outcome.add("r", std::move(r));
    return;
  }
  std::vector<double> entries(static_cast<std::size_t>(r.view().numel()));
  copy_to_host(r.view(), TensorView(entries.data(), DType::f64, {r.rows(), r.columns()}));
  double kept = 0, dropped = 0;
  for (std::size_t i = 0; i < entries.size(); ++i)
    (static_cast<std::int64_t>(i) < rank * r.columns() ? kept : dropped) += entries[i] * entries[i];
  work.report.error_estimate = kept + dropped > 0 ? std::sqrt(dropped / (kept + dropped)) : 0;
  Matrix q_k = matrix_like(work, q, q.rows(), rank), r_k = matrix_like(work, r, rank, r.columns());
  work.context.kernels.cast(q.columns_from(0, rank), q_k.view(), {});
  work.context.kernels.cast(r.block(0, rank, 0, r.columns()), r_k.view(), {});
  outcome.add("q", std::move(q_k));
  outcome.add("r", std::move(r_k));
}

void run_cqrrpt(const Work& work, Outcome& outcome) {
  const Matrix a = work.load();
  linalg::CqrrptResult found = linalg::cqrrpt(work.context, a.view(), {.rank_tolerance = work.request.tolerance.value_or(0)});
  take_stages(work, found.stages);
  work.report.rank = found.rank;
  work.report.error_estimate = found.quality.residual;
  if (found.shifted) work.report.notes.push_back("the matrix is nearly rank deficient: shifted Cholesky passes were needed");
  work.report.flops = 3.0 * static_cast<double>(a.rows()) * std::pow(static_cast<double>(found.rank), 2);
  add_factors(work, std::move(found.q_MK), std::move(found.r_KN), outcome);
  outcome.add_indices("pivots", std::move(found.pivots));
}

void run_cqrrt(const Work& work, Outcome& outcome) {
  const Matrix a = work.load();
  linalg::CqrrtResult found = linalg::cqrrt(work.context, a.view());
  take_stages(work, found.stages);
  work.report.rank = a.columns();
  work.report.error_estimate = found.quality.residual;
  work.report.flops = 3.0 * static_cast<double>(a.rows()) * std::pow(static_cast<double>(a.columns()), 2);
  add_factors(work, std::move(found.q_MN), std::move(found.r_NN), outcome);
}

/// Q and R out of GEQP3's format, cut to `rank`.
void unpack(const Work& work, const Matrix& factored, const Matrix& tau, std::int64_t rank, Outcome& outcome) {
  Matrix q = matrix_like(work, factored, factored.rows(), rank), r = matrix_like(work, factored, rank, factored.columns());
  work.context.kernels.cast(factored.block(0, rank, 0, factored.columns()), r.view(), {});
  lapack_of(work).fill('L', 0, 0, r.view(), {});
  work.context.kernels.cast(factored.columns_from(0, rank), q.view(), {});
  // Reflectors beyond the rank leave its first columns as they are.
  lapack_of(work).form_q(q.view(), tau.column(0).slice(0, rank), work.allocator(), {});
  add_factors(work, std::move(q), std::move(r), outcome);
}

void run_bqrrp(const Work& work, Outcome& outcome) {
  const Matrix a = work.load();
  linalg::BqrrpResult found = linalg::bqrrp(work.context, a.view(), {.rank_tolerance = work.request.tolerance.value_or(0)});
  take_stages(work, found.report.stages);
  work.report.rank = found.report.rank;
  work.report.flops =
      householder_flops(static_cast<double>(a.rows()), static_cast<double>(a.columns()), static_cast<double>(work.shorter()));
  unpack(work, found.factored_MN, found.tau_K, found.report.rank, outcome);
  outcome.add_indices("pivots", std::move(found.pivots));
}

void run_lapack(const Work& work, Outcome& outcome) {
  const Matrix a = work.load();
  const Matrix tau = matrix_like(work, a, work.shorter(), 1);
  std::vector<std::int64_t> pivots(static_cast<std::size_t>(a.columns()));
  lapack_of(work).qr_pivoted(a.view(), tau.column(0), pivots, work.allocator(), {});
  work.report.rank = work.shorter();
  work.report.flops =
      householder_flops(static_cast<double>(a.rows()), static_cast<double>(a.columns()), static_cast<double>(work.shorter()));
  unpack(work, a, tau, work.shorter(), outcome);
  outcome.add_indices("pivots", std::move(pivots));
}

void check(const Work& work, const Outcome& outcome) {
  const auto done = work.begin_check();
  std::list<Matrix> keep;
  const TensorView q = on_host(outcome.view("q"), keep), r = on_host(outcome.view("r"), keep);
  std::span<const std::int64_t> pivots;
  if (work.report.method != "cqrrt") pivots = {outcome.view("pivots").as<std::int64_t>(), static_cast<std::size_t>(work.a.columns())};
  work.report.true_error = true_relative_error(work.a, q.shape[1], rows_of(q), r, pivots, done);
  work.report.orthogonality = orthogonality_error(q);
}

/// |R_ii|, which pivoting makes follow the singular values.
std::vector<double> diagonal_of_r(const Outcome& outcome) {
  std::list<Matrix> keep;
  TensorView diagonal = on_host(outcome.view("r"), keep);
  diagonal.dims = 1;
  diagonal.strides[0] += diagonal.strides[1];
  std::vector<double> values(static_cast<std::size_t>(diagonal.shape[0]));
  cpu_kernels().cast(diagonal, TensorView(values.data(), DType::f64, {diagonal.shape[0]}), {});
  for (double& value : values) value = std::fabs(value);
  return values;
}

}  // namespace

Outcome run_qr(const Work& work) {
  const std::int64_t m = work.a.rows(), n = work.a.columns();
  std::string& method = work.report.method;
  method = work.request.method;
  if (method == "auto") {
    method = m >= 2 * n ? "cqrrpt" : "bqrrp";
    work.report.reason = m >= 2 * n ? "tall (m >= 2 n)" : "not tall enough for cqrrpt (m < 2 n)";
  }
  PANTHER_REQUIRE(m >= n || (method != "cqrrpt" && method != "cqrrt"), "--method ", method, " takes matrices with m >= n; this one is ", m,
                  " x ", n, ": use bqrrp");
  PANTHER_REQUIRE(!work.request.tolerance || method == "cqrrpt" || method == "bqrrp", "--tol decides the rank, which --method ", method,
                  " does not: leave it out, or use cqrrpt or bqrrp");
  if (work.request.rank) work.rank_at_most(work.shorter(), "min(m, n)");
  // The matrix and Q, or what GEQP3 makes of it; sketches and R are n x n.
  plan_memory({m, n, work.a.dtype(), std::min(m, n) / 2, method == "bqrrp" ? 3.0 : 2.0}, work.memory_bytes, false, false);
  Outcome outcome;
  if (method == "cqrrpt")
    run_cqrrpt(work, outcome);
  else if (method == "cqrrt")
    run_cqrrt(work, outcome);
  else if (method == "bqrrp")
    run_bqrrp(work, outcome);
  else
    run_lapack(work, outcome);
  work.report.error_of = method == "cqrrt" ? "||A - Q R|| / ||A||, Frobenius" : "||A P - Q R|| / ||A||, Frobenius";
  if (*work.report.rank < work.shorter())
    work.report.notes.push_back(concat("numerical rank ", *work.report.rank, " of min(m, n) = ", work.shorter()));
  if (!work.request.plot.empty()) {
    outcome.singular_values = diagonal_of_r(outcome);
    outcome.plot_title = "|R_ii|";
  }
  if (work.request.check) check(work, outcome);
  return outcome;
}

}  // namespace panther::tools
