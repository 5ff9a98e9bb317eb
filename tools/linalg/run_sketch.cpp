// panther linalg sketch: S A, read once in blocks of rows, so it needs no more memory than its result.
#include <algorithm>

#include "core/error.h"
#include "kernels/sketch/operator.h"
#include "tools/linalg/work.h"

namespace panther::tools {

Outcome run_sketch(const Work& work) {
  const MatrixInput& a = work.a;
  const std::string kind = work.request.method == "auto" ? "saso" : work.request.method;
  const std::int64_t k = *work.request.rank;
  PANTHER_REQUIRE(k <= a.rows(), "--rank ", k, " of a matrix with ", a.rows(), " rows: a sketch has at most as many rows");
  const auto sketch = make_sketch({.kind = kind,
                                   .rows = k,
                                   .columns = a.rows(),
                                   .seed = work.request.seed,
                                   .name = "panther.linalg.sketch",
                                   .nonzeros = std::min<std::int64_t>(4, k)});
  const MemoryPlan plan = plan_memory({a.rows(), a.columns(), a.dtype(), 0, 1}, work.memory_bytes, true, true);
  Matrix result(work.allocator(), work.device, {}, a.dtype(), k, a.columns());
  work.progress.part("sketch", 0, 0.95);
  double beta = 0;
  a.for_each_block(plan.block_rows, work.device, [&](std::int64_t first, const TensorView& rows) {
    const SketchBlock block{.first_column = first, .columns = rows.shape[0]};
    sketch->apply(work.context.sketch(), false, block, sketch->isometry_scale(), rows, beta, result.view());
    beta = 1;
    work.progress.tell("blocks of rows", static_cast<double>(first + rows.shape[0]) / static_cast<double>(a.rows()));
  });
  work.report.method = kind;
  work.report.reason = concat("read once in blocks of ", plan.block_rows, " rows; S is generated and never stored");
  work.report.rank = k;
  work.report.flops = sketch->cost({}, a.columns()).flops;
  Outcome outcome;
  outcome.add("sketch", std::move(result));
  return outcome;
}

}  // namespace panther::tools
