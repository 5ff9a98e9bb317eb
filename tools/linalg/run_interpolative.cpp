// panther linalg id and cur: factors made of the matrix's own columns and rows.
#include <algorithm>
#include <cmath>

#include "core/error.h"
#include "kernels/linalg/interpolative.h"
#include "tools/linalg/true_error.h"
#include "tools/linalg/work.h"

namespace panther::tools {
namespace {

linalg::InterpolativeOptions options_of(const Work& work) {
  linalg::InterpolativeOptions options;
  options.rank = work.rank_at_most(work.shorter(), "min(m, n)");
  options.oversampling = work.request.oversampling.value_or(options.oversampling);
  options.power_iterations = static_cast<int>(work.request.power_iterations.value_or(options.power_iterations));
  return options;
}

void describe(const Work& work, double error, int passes, const linalg::InterpolativeOptions& options) {
  work.report.method = "sketch";
  work.report.rank = options.rank;
  work.report.error_estimate = error;
  work.report.flops = 2.0 * static_cast<double>(work.a.rows()) * static_cast<double>(work.a.columns()) *
                      static_cast<double>(std::min(options.rank + options.oversampling, work.shorter())) * std::max(passes, 1);
}

/// a_BN[:, columns] as the left factor.
LeftRows gathered(std::vector<std::int64_t> columns) {
  return [kept = std::move(columns)](std::int64_t, const TensorView& a_BN, const TensorView& left_BK) {
    for (std::int64_t i = 0; i < a_BN.shape[0]; ++i)
      for (std::size_t j = 0; j < kept.size(); ++j)
        left_BK.as<double>()[i * left_BK.strides[0] + static_cast<std::int64_t>(j)] = a_BN.as<double>()[i * a_BN.strides[0] + kept[j]];
  };
}

}  // namespace

Outcome run_interpolative(const Work& work) {
  const linalg::InterpolativeOptions options = options_of(work);
  plan_memory({work.a.rows(), work.a.columns(), work.a.dtype(), options.rank + options.oversampling, 1}, work.memory_bytes, false, false);
  const Matrix a = work.load();
  linalg::ColumnId found = linalg::column_id(work.context, a.view(), options);
  describe(work, found.relative_error, found.passes, options);
  const std::vector<std::int64_t> columns = found.columns;
  Outcome outcome;
  outcome.add_indices("columns", std::move(found.columns));
  outcome.add("t", std::move(found.weights_KN));
  if (work.request.check) {
    const auto done = work.begin_check();
    std::list<Matrix> keep;
    work.report.true_error = true_relative_error(work.a, options.rank, gathered(columns), on_host(outcome.view("t"), keep), {}, done);
  }
  return outcome;
}

Outcome run_cur(const Work& work) {
  const linalg::InterpolativeOptions options = options_of(work);
  plan_memory({work.a.rows(), work.a.columns(), work.a.dtype(), options.rank + options.oversampling, 1}, work.memory_bytes, false, false);
  const Matrix a = work.load();
  linalg::CurResult found = linalg::cur(work.context, a.view(), options);
  describe(work, found.relative_error, found.passes, options);
  Outcome outcome;
  outcome.add_indices("columns", std::move(found.columns));
  outcome.add_indices("rows", std::move(found.rows));
  outcome.add("c", std::move(found.c_MK));
  outcome.add("u", std::move(found.u_KK));
  outcome.add("r", std::move(found.r_KN));
  if (work.request.check) {
    const auto done = work.begin_check();
    std::list<Matrix> keep;
    const std::int64_t k = options.rank, n = work.a.columns();
    std::vector<double> u(static_cast<std::size_t>(k * k)), r(static_cast<std::size_t>(k * n)), ur(static_cast<std::size_t>(k * n));
    const TensorView u_view(u.data(), DType::f64, {k, k}), r_view(r.data(), DType::f64, {k, n}), ur_view(ur.data(), DType::f64, {k, n});
    copy_to_host(outcome.view("u"), u_view);
    copy_to_host(outcome.view("r"), r_view);
    cpu_kernels().gemm(1, u_view, r_view, 0, ur_view, {}, {}, {});
    work.report.true_error = true_relative_error(work.a, k, rows_of(on_host(outcome.view("c"), keep)), ur_view, {}, done);
  }
  return outcome;
}

}  // namespace panther::tools
