// panther linalg nystrom: symmetric matrices, positive semidefinite ones in one pass.
#include <algorithm>
#include <cmath>

#include "core/error.h"
#include "kernels/linalg/eigsh.h"
#include "kernels/linalg/nystrom.h"
#include "tools/linalg/true_error.h"
#include "tools/linalg/work.h"

namespace panther::tools {
namespace {

void check(const Work& work, const Outcome& outcome, const std::vector<double>& values) {
  const auto done = work.begin_check();
  std::list<Matrix> keep;
  const TensorView v = on_host(outcome.view("v"), keep);
  const LeftRows scaled = [&](std::int64_t first, const TensorView& a_BN, const TensorView& left_BK) {
    cpu_kernels().cast(v.slice(first, a_BN.shape[0]), left_BK, {});
    for (std::int64_t i = 0; i < left_BK.shape[0]; ++i)
      for (std::int64_t j = 0; j < left_BK.shape[1]; ++j)
        left_BK.as<double>()[i * left_BK.strides[0] + j] *= values[static_cast<std::size_t>(j)];
  };
  work.report.true_error = true_relative_error(work.a, v.shape[1], scaled, v.transposed(), {}, done);
  work.report.orthogonality = orthogonality_error(v);
}

}  // namespace

Outcome run_nystrom(const Work& work) {
  const std::int64_t n = work.a.rows();
  PANTHER_REQUIRE(n == work.a.columns(), "nystrom takes a square symmetric matrix; '", work.a.file().path().string(), "' is ", n, " x ",
                  work.a.columns(), ". For A^T A of a tall A use svd");
  const std::int64_t k = work.rank_at_most(n, "n");
  std::string& method = work.report.method;
  method = work.request.method == "auto" ? "nystrom" : work.request.method;
  plan_memory({n, n, work.a.dtype(), std::min(n, (method == "eigsh" ? 4 : 1) * (k + 10)), 1}, work.memory_bytes, false, false);
  const Matrix a = work.load();
  linalg::EigenResult found;
  if (method == "eigsh") {
    found = linalg::eigsh(work.context, a.view(), {.rank = k});
    work.report.error_of = "estimate: largest ||A v - w v|| / |w_1|; true: ||A - V W V^T|| / ||A||, Frobenius";
  } else {
    linalg::NystromOptions options;
    options.rank = k;
    options.oversampling = work.request.oversampling.value_or(options.oversampling);
    options.power_iterations = static_cast<int>(work.request.power_iterations.value_or(options.power_iterations));
    found = linalg::nystrom(work.context, a.view(), options);
    work.report.error_of = "estimate: trace(A - A_k) / trace(A); true: ||A - A_k|| / ||A||, Frobenius";
  }
  if (!found.reached_tolerance)
    work.report.notes.push_back("some pairs are not as accurate as wanted; a larger --rank helps where values lie close together");
  work.report.rank = found.vectors_MK.columns();
  work.report.error_estimate = found.relative_error;
  work.report.iterations = found.iterations;
  work.report.flops =
      2.0 * static_cast<double>(n) * static_cast<double>(n) * static_cast<double>(std::min(n, k + 10)) * std::max(found.passes, 1);
  Outcome outcome;
  const std::vector<double> values = to_doubles(found.values_K.column(0));
  outcome.add("v", std::move(found.vectors_MK));
  outcome.add_vector("w", std::move(found.values_K));
  for (const double value : values) outcome.singular_values.push_back(std::fabs(value));
  outcome.plot_title = "|eigenvalues|";
  if (work.request.check) check(work, outcome, values);
  return outcome;
}

}  // namespace panther::tools
