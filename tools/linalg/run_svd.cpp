// panther linalg svd: rsvd, block Krylov, single pass over a stream, or every singular value by LAPACK.
#include <algorithm>
#include <cmath>

#include "core/error.h"
#include "kernels/linalg/krylov_svd.h"
#include "kernels/linalg/lapack_kernels.h"
#include "kernels/linalg/rsvd.h"
#include "kernels/linalg/single_pass_svd.h"
#include "tools/linalg/true_error.h"
#include "tools/linalg/work.h"

namespace panther::tools {
namespace {

constexpr std::int64_t kOversampling = 10, kPowerIterations = 2;

struct Sizes {
  double m, n, k, l;
};

Sizes sizes_of(const Work& work, std::int64_t rank) {
  return {static_cast<double>(work.a.rows()), static_cast<double>(work.a.columns()), static_cast<double>(rank),
          static_cast<double>(std::min(rank + work.request.oversampling.value_or(kOversampling), work.shorter()))};
}

/// The three factors and what the report says of any approximate SVD.
void take(const Work& work, linalg::SvdResult result, Outcome& outcome) {
  LinalgReport& report = work.report;
  report.rank = result.rank();
  report.error_estimate = result.relative_error;
  report.iterations = result.iterations;
  if (result.relative_error < result.error_floor)
    report.notes.push_back(
        concat("errors below ", result.error_floor, " cannot be told from rounding by this estimate; --check computes the true one"));
  if (!result.reached_tolerance) report.notes.push_back("the tolerance was not reached; give --dtype f64 or a larger --rank");
  outcome.singular_values = to_doubles(result.s_K.column(0));
  outcome.add("u", std::move(result.u_MK));
  outcome.add_vector("s", std::move(result.s_K));
  outcome.add_transposed("vt", std::move(result.v_NK));
}

void check(const Work& work, const Outcome& outcome) {
  const auto done = work.begin_check();
  std::list<Matrix> keep;
  const TensorView u = on_host(outcome.view("u"), keep);
  const std::vector<double>& s = outcome.singular_values;
  const LeftRows scaled = [&](std::int64_t first, const TensorView& a_BN, const TensorView& left_BK) {
    cpu_kernels().cast(u.slice(first, a_BN.shape[0]), left_BK, {});
    for (std::int64_t i = 0; i < left_BK.shape[0]; ++i)
      for (std::int64_t j = 0; j < left_BK.shape[1]; ++j)
        left_BK.as<double>()[i * left_BK.strides[0] + j] *= s[static_cast<std::size_t>(j)];
  };
  work.report.true_error = true_relative_error(work.a, u.shape[1], scaled, on_host(outcome.view("vt"), keep), {}, done);
  work.report.orthogonality = orthogonality_error(u);
}

void run_rsvd(const Work& work, Outcome& outcome) {
  const Matrix a = work.load();
  linalg::RsvdOptions options;
  options.rank = work.request.rank.value_or(0);
  options.tolerance = work.request.tolerance.value_or(0);
  options.oversampling = work.request.oversampling.value_or(kOversampling);
  options.power_iterations = static_cast<int>(work.request.power_iterations.value_or(kPowerIterations));
  take(work, linalg::rsvd(work.context, a.view(), options), outcome);
  const auto [m, n, k, l] = sizes_of(work, *work.report.rank);
  work.report.flops = 2 * m * n * l * (2 * options.power_iterations + 1) + 4 * (m + n) * l * l;
}

void run_krylov(const Work& work, Outcome& outcome) {
  PANTHER_REQUIRE(work.request.rank, "--method krylov needs --rank K (its own tolerance is that of every triplet); rsvd takes --tol");
  const Matrix a = work.load();
  linalg::KrylovOptions options;
  options.rank = *work.request.rank;
  linalg::SvdResult result = linalg::krylov_svd(work.context, a.view(), options);
  const double passes = result.passes;
  take(work, std::move(result), outcome);
  const auto [m, n, k, l] = sizes_of(work, *work.report.rank);
  work.report.flops = 2 * m * n * l * passes;
}

void run_lapack(const Work& work, Outcome& outcome) {
  PANTHER_REQUIRE(!work.request.tolerance, "--method lapack computes every singular value: leave --tol out");
  Matrix a = work.load();
  const std::int64_t full = work.shorter(), rank = work.request.rank.value_or(full);
  const LapackKernels* lapack = work.context.kernels.lapack;
  if (lapack == nullptr)
    fail(ErrorCode::Unsupported, "this build has no LAPACK for ", work.report.device, "; configure with PANTHER_WITH_OPENBLAS=ON");
  const auto matrix = [&](std::int64_t rows, std::int64_t columns) {
    return Matrix(work.allocator(), work.device, {}, a.view().dtype, rows, columns);
  };
  Matrix u = matrix(a.rows(), full), s = matrix(full, 1), vt = matrix(full, a.columns());
  lapack->svd(a.view(), u.view(), s.column(0), vt.view(), work.allocator(), {});
  const std::vector<double> all = to_doubles(s.column(0));
  double kept = 0, whole = 0;
  for (std::size_t i = 0; i < all.size(); ++i) (i < static_cast<std::size_t>(rank) ? kept : whole) += all[i] * all[i];
  work.report.error_estimate = kept + whole > 0 ? std::sqrt(whole / (kept + whole)) : 0;
  work.report.rank = rank;
  const auto [m, n, k, l] = sizes_of(work, rank);
  work.report.flops = 6 * std::max(m, n) * std::min(m, n) * std::min(m, n) + 20 * std::pow(std::min(m, n), 3);
  outcome.singular_values.assign(all.begin(), all.begin() + rank);
  Matrix u_k = matrix(a.rows(), rank), s_k = matrix(rank, 1), v_k = matrix(a.columns(), rank);
  work.context.kernels.cast(u.columns_from(0, rank), u_k.view(), {});
  work.context.kernels.cast(s.block(0, rank, 0, 1), s_k.view(), {});
  work.context.kernels.cast(vt.block(0, rank, 0, a.columns()).transposed(), v_k.view(), {});
  outcome.add("u", std::move(u_k));
  outcome.add_vector("s", std::move(s_k));
  outcome.add_transposed("vt", std::move(v_k));
}

void run_single_pass(const Work& work, const MemoryPlan& plan, Outcome& outcome) {
  const linalg::SinglePassOptions options{.rank = *work.request.rank};
  work.progress.part("stream", 0, work.request.check ? 0.8 : 0.95);
  linalg::Context context = work.context;
  context.total_rows = work.a.rows();
  linalg::SinglePassSvd svd(context, work.a.dtype(), work.device, work.a.rows(), work.a.columns(), options);
  work.a.for_each_block(plan.block_rows, work.device, [&](std::int64_t first, const TensorView& rows) {
    svd.add_rows(first, rows);
    work.progress.tell("blocks of rows", 0.9 * static_cast<double>(first + rows.shape[0]) / static_cast<double>(work.a.rows()));
  });
  take(work, svd.finish(), outcome);
  // Default sizes of the sketches: k' = 2 k + 1 columns of the range, l' = 2 k' + 1 rows of the corange, 10 of the test.
  const double k = static_cast<double>(options.rank), sketches = (2 * k + 1) + (4 * k + 3) + 10;
  work.report.flops = 2 * static_cast<double>(work.a.rows()) * static_cast<double>(work.a.columns()) * sketches;
  work.report.error_of += "; sampled, with a deviation of a fifth or so";
}

}  // namespace

Outcome run_svd(const Work& work) {
  const LinalgRequest& request = work.request;
  if (request.rank) work.rank_at_most(work.shorter(), "min(m, n)");
  const std::int64_t wanted = request.method == "lapack" ? work.shorter()
                                                         : request.rank.value_or(std::min<std::int64_t>(work.shorter(), 256)) +
                                                               request.oversampling.value_or(kOversampling);
  const bool stream_asked = request.method == "single-pass", can_stream = stream_asked || request.method == "auto";
  PANTHER_REQUIRE(!stream_asked || request.rank,
                  "--method single-pass needs --rank K: a stream is read once, and the sizes of its sketches with it");
  MemoryNeed need{work.a.rows(), work.a.columns(), work.a.dtype(), std::min(wanted, work.shorter()),
                  request.method == "lapack" ? 2.0 : 1.0};
  // The single pass keeps a range twice as wide as the result.
  const bool too_large = work.memory_bytes > 0 && whole_bytes(need) > work.memory_bytes;
  if (request.rank && (stream_asked || (too_large && can_stream))) need.factor_columns = std::min(2 * *request.rank + 1, work.shorter());
  const MemoryPlan plan = plan_memory(need, work.memory_bytes, can_stream && request.rank.has_value(), stream_asked);
  Outcome outcome;
  work.report.method = !plan.whole ? "single-pass" : request.method == "auto" ? "rsvd" : request.method;
  work.report.reason = plan.reason;
  if (!plan.whole)
    run_single_pass(work, plan, outcome);
  else if (request.method == "krylov")
    run_krylov(work, outcome);
  else if (request.method == "lapack")
    run_lapack(work, outcome);
  else
    run_rsvd(work, outcome);
  if (request.check) check(work, outcome);
  return outcome;
}

}  // namespace panther::tools
