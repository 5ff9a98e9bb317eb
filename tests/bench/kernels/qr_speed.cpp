// cqrrpt, cqrrt and bqrrp against LAPACK's geqp3 and geqrf of the same OpenBLAS: one JSON line per figure, with the time of each stage.
//   bench_qr cqrrpt 32768 1024 [f32|f64] [runs] [lapack]     with "lapack": geqp3 + orgqr and geqrf + orgqr take turns with ours
//   bench_qr bqrrp 4096 4096 [f32|f64] [runs] [lapack]
#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <iostream>
#include <string>

#include "core/error.h"
#include "kernels/linalg/bqrrp.h"
#include "kernels/linalg/cqrrpt.h"
#include "kernels/linalg/cqrrt.h"
#include "kernels/linalg/lapack_kernels.h"
#include "tools/measure/machine_limits.h"
#include "tools/measure/timing.h"

using namespace panther;

namespace {

struct Work {
  std::string routine;
  std::int64_t rows = 0, columns = 0;
  DType dtype = DType::f64;
  int runs = 3;
  bool lapack = false;
};

Matrix gaussian(const Work& work) {
  SketchSpec spec;
  spec.rows = work.columns;
  spec.columns = work.rows;
  Matrix a(plain_allocator(), Device{}, Stream{}, work.dtype, work.rows, work.columns);
  make_sketch(spec)->materialize({}, {}, 1.0, a.view().transposed());
  return a;
}

void add_stages(measure::Figure& figure, const std::vector<linalg::StageTime>& stages) {
  for (const linalg::StageTime& stage : stages) figure.numbers.emplace_back("s_" + stage.name, stage.seconds);
}

measure::Figure figure_of(const Work& work, const std::string& name, double flops, const measure::MachineLimits& limits) {
  measure::Figure figure;
  figure.name = name;
  figure.shape = concat(work.rows, "x", work.columns);
  figure.dtype = std::string(dtype_name(work.dtype));
  figure.flops = flops;
  figure.gemm_gflops = limits.gemm_gflops(work.dtype);
  return figure;
}

/// The peer: GEQP3 (or GEQRF) over a copy, with Q explicit when `form`.
void lapack_qr(const Matrix& a, const Matrix& copy, bool pivot, bool form) {
  const LapackKernels& lapack = *cpu_kernels().lapack;
  const std::int64_t least = std::min(a.rows(), a.columns());
  const Matrix tau(plain_allocator(), Device{}, Stream{}, a.view().dtype, least, 1);
  std::vector<std::int64_t> pivots(static_cast<std::size_t>(a.columns()));
  cpu_kernels().cast(a.view().transposed(), copy.view().transposed(), {});
  if (pivot) lapack.qr_pivoted(copy.view(), tau.view(), pivots, plain_allocator(), {});
  else lapack.qr(copy.view(), tau.view(), plain_allocator(), {});
  if (form) lapack.form_q(copy.view(), tau.view(), plain_allocator(), {});
}

void run(const Work& work) {
  const measure::MachineLimits limits = measure::measure_limits(cpu_kernels());
  const Matrix a = gaussian(work), copy(plain_allocator(), Device{}, Stream{}, work.dtype, work.rows, work.columns);
  const double m = static_cast<double>(work.rows), n = static_cast<double>(work.columns), k = std::min(m, n);
  const bool general = work.routine == "bqrrp", pivoted = work.routine != "cqrrt";
  // R and reflectors of m x n: 2 n^2 (m - n/3) for m >= n. With Q, tall: 3 m n^2 at least.
  const double flops = general ? 2 * k * k * (std::max(m, n) - k / 3) : 3 * m * n * n;
  std::vector<linalg::StageTime> stages;
  double error = -1;
  std::vector<std::function<void()>> sides{[&] {
    if (general) {
      linalg::BqrrpResult result = linalg::bqrrp({}, a.view());
      stages = std::move(result.report.stages);
    } else if (pivoted) {
      linalg::CqrrptResult result = linalg::cqrrpt({}, a.view());
      stages = std::move(result.stages);
      error = result.quality.residual;
    } else {
      linalg::CqrrtResult result = linalg::cqrrt({}, a.view());
      stages = std::move(result.stages);
      error = result.quality.residual;
    }
  }};
  if (work.lapack) {
    sides.push_back([&] { lapack_qr(a, copy, true, !general); });
    sides.push_back([&] { lapack_qr(a, copy, false, !general); });
  }
  measure::TimingPlan plan;
  plan.warm_ups = work.lapack ? 0 : 1;
  plan.least_runs = plan.most_runs = work.runs;
  plan.budget_seconds = 1000;
  const std::vector<measure::Timing> timings = measure::time_in_turns(sides, plan);
  measure::Figure ours = figure_of(work, work.routine, flops, limits);
  ours.timing = timings[0];
  ours.error = error;
  add_stages(ours, stages);
  if (work.lapack) {
    ours.numbers.insert(ours.numbers.begin(), {{"geqp3_s", timings[1].median}, {"over_geqp3", timings[1].median / timings[0].median},
                                              {"geqrf_s", timings[2].median}, {"over_geqrf", timings[2].median / timings[0].median}});
  }
  measure::print_json(ours);
}

}  // namespace

int main(int argc, char** argv) {
  try {
    PANTHER_REQUIRE(argc >= 4, "usage: bench_qr {cqrrpt|cqrrt|bqrrp} ROWS COLUMNS [f32|f64] [runs] [lapack]");
    Work work{.routine = argv[1], .rows = std::atoll(argv[2]), .columns = std::atoll(argv[3])};
    if (argc > 4) work.dtype = std::string(argv[4]) == "f32" ? DType::f32 : DType::f64;
    if (argc > 5) work.runs = std::atoi(argv[5]);
    work.lapack = argc > 6;
    run(work);
  } catch (const Error& error) {
    std::cerr << error.what() << "\n";
    return 64;
  }
}
