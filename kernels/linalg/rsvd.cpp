#include "kernels/linalg/rsvd.h"

#include <algorithm>
#include <cmath>

#include "core/error.h"
#include "kernels/linalg/block_lanczos.h"
#include "kernels/linalg/memory_need.h"
#include "kernels/linalg/orthonormalize.h"
#include "kernels/linalg/qb.h"
#include "kernels/linalg/residual.h"

namespace panther::linalg {
namespace {

double captured_norm(const std::vector<double>& s, std::int64_t rank) {
  double sum = 0;
  for (std::int64_t i = 0; i < rank; ++i) sum += s[static_cast<std::size_t>(i)] * s[static_cast<std::size_t>(i)];
  return std::sqrt(sum);
}

void check_options(const Input& input, const RsvdOptions& options) {
  const std::int64_t most = std::min(input.rows, input.columns);
  const bool any_rank = options.tolerance > 0 && options.rank == 0;
  PANTHER_REQUIRE(any_rank || (options.rank >= 1 && options.rank <= most), "rsvd: rank ", options.rank, " of a ", input.rows, " x ", input.columns,
                  " matrix must be in [1, ", most, "]");
  PANTHER_REQUIRE(options.tolerance >= 0 && options.tolerance < 1, "rsvd: tolerance ", options.tolerance, " is relative and must be in [0, 1)");
  PANTHER_REQUIRE(options.oversampling >= 0 && options.power_iterations >= 0, "rsvd: oversampling ", options.oversampling, " and power iterations ",
                  options.power_iterations, " must not be negative");
}

SvdResult krylov_range(const Arithmetic& maths, const Input& input, std::int64_t basis, const RsvdOptions& options) {
  BlockLanczos lanczos(maths, input, basis, options.power_iterations, options.sketch);
  maths.context().tell("rsvd: sketched", 1.0 / (2.0 * options.power_iterations + 1));
  while (lanczos.steps() < options.power_iterations && lanczos.step()) {
    maths.context().tell("rsvd: iterated", (2.0 * lanczos.steps() + 1) / (2.0 * options.power_iterations + 1));
  }
  const BlockLanczos::Triplets triplets = lanczos.triplets();
  SvdResult result;
  const std::int64_t rank = options.rank;
  result.u_MK = maths.product(lanczos.u_ML(), triplets.left_LL.columns_from(0, rank));
  result.v_NK = maths.product(lanczos.v_NL(), triplets.right_LL.columns_from(0, rank));
  result.s_K = maths.copy_of(triplets.s_L.view().slice(0, rank));
  result.relative_error = captured_norm(triplets.values, rank);
  result.iterations = lanczos.steps();
  result.passes = lanczos.passes();
  return result;
}

SvdResult power_range(const Arithmetic& maths, const Input& input, std::int64_t basis, const RsvdOptions& options) {
  const Context whole = replicated(maths.context());
  SvdResult result;
  Matrix q = maths.sketch_columns(*maths.sketch(options.sketch, basis, input.columns, "range"), input.view);
  // Between products the columns need only stay apart; the last basis is orthonormal.
  const auto wanted = [&](int iterations) { return iterations < options.power_iterations ? Orthonormality::nearly : Orthonormality::full; };
  orthonormalize(maths.context(), q.view(), {}, wanted(0));
  for (; result.iterations < options.power_iterations; ++result.iterations) {
    const Matrix w = maths.inner_product(input.view, q.view());
    orthonormalize(whole, w.view(), {}, Orthonormality::nearly);
    maths.multiply(1, input.view, w.view(), 0, q.view());
    orthonormalize(maths.context(), q.view(), {}, wanted(result.iterations + 1));
    maths.context().tell("rsvd: iterated", (2.0 * result.iterations + 3) / (2.0 * options.power_iterations + 2));
  }
  const Matrix bt = maths.inner_product(input.view, q.view());
  result.passes = 2 * options.power_iterations + 2;
  truncate_qb(maths, q.view(), bt.view(), options.rank, result);
  return result;
}

SvdResult up_to_tolerance(const Arithmetic& maths, const TensorView& a_MN, const RsvdOptions& options) {
  QbOptions qb_options;
  qb_options.rank = options.rank;
  qb_options.tolerance = options.tolerance;
  qb_options.power_iterations = std::max(1, options.power_iterations);
  qb_options.sketch = options.sketch;
  qb_options.trim = false;
  QbResult factors = qb(maths.context(), a_MN, qb_options);
  SvdResult result;
  result.iterations = factors.blocks;
  result.passes = factors.passes;
  const std::vector<double> s = truncate_qb(maths, factors.q_MK.view(), factors.bt_NK.view(), factors.rank(), result);
  // The QB error and what truncating its SVD drops are orthogonal: the smallest rank whose sum of squares stays within the tolerance.
  const double relative = factors.norm > 0 ? 1 / factors.norm : 0;
  double square = factors.relative_error * factors.relative_error, limit = options.tolerance * options.tolerance;
  std::int64_t rank = factors.rank();
  while (rank > 1) {
    const double dropped = s[static_cast<std::size_t>(rank - 1)] * relative;
    if (square + dropped * dropped > limit) break;
    square += dropped * dropped;
    --rank;
  }
  if (rank < factors.rank()) truncate_qb(maths, factors.q_MK.view(), factors.bt_NK.view(), rank, result);
  result.relative_error = std::sqrt(square);
  result.error_floor = factors.error_floor;
  result.error_kind = factors.error_kind;
  result.reached_tolerance = factors.reached_tolerance;
  return result;
}

}  // namespace

double rsvd_bytes(std::int64_t local_rows, std::int64_t columns, const RsvdOptions& options, DType dtype) {
  const std::int64_t basis = std::min(options.rank + options.oversampling, columns);
  const bool krylov = options.range == RangeFinder::krylov && options.power_iterations > 0;
  return BlockLanczos::bytes(local_rows, columns, basis, krylov ? options.power_iterations : 1, dtype);
}

SvdResult rsvd(const Context& context, const TensorView& a_MN, const RsvdOptions& options) {
  const Arithmetic maths(context, a_MN.dtype, a_MN.device);
  const Input input = checked_input(context, a_MN, "rsvd");
  check_options(input, options);
  if (options.tolerance > 0) return up_to_tolerance(maths, input.view, options);
  require_memory(context, "rsvd", rsvd_bytes(a_MN.shape[0], input.columns, options, a_MN.dtype), a_MN.device);

  const std::int64_t basis = std::min({options.rank + options.oversampling, input.rows, input.columns});
  const double norm = std::sqrt(maths.sum(maths.squared_norm(input.view)));
  const bool krylov = options.range == RangeFinder::krylov && options.power_iterations > 0;
  SvdResult result = krylov ? krylov_range(maths, input, basis, options) : power_range(maths, input, basis, options);
  // V is orthonormal and U S = A V, so what is left over is orthogonal to what is kept: squares subtract.
  result.relative_error = error_indicator(norm, std::min(norm, result.relative_error));
  result.error_floor = maths.indicator_floor();
  result.error_kind = ErrorKind::indicator;
  return result;
}

}  // namespace panther::linalg
