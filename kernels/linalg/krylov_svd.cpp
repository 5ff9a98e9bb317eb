#include "kernels/linalg/krylov_svd.h"

#include <algorithm>
#include <cmath>

#include "core/error.h"
#include "kernels/linalg/block_lanczos.h"
#include "kernels/linalg/memory_need.h"
#include "kernels/linalg/residual.h"

namespace panther::linalg {
namespace {

bool all_within(const std::vector<double>& residuals, double limit) {
  return std::all_of(residuals.begin(), residuals.end(), [limit](double residual) { return residual <= limit; });
}

void check_options(const Input& input, const KrylovOptions& options) {
  const std::int64_t most = std::min(input.rows, input.columns);
  PANTHER_REQUIRE(options.rank >= 1 && options.rank <= most, "krylov_svd: rank ", options.rank, " of a ", input.rows, " x ", input.columns,
                  " matrix must be in [1, ", most, "]");
  PANTHER_REQUIRE(options.block >= 0 && options.most_steps >= 1, "krylov_svd: block ", options.block, " must not be negative, steps ",
                  options.most_steps, " at least 1");
  PANTHER_REQUIRE(options.tolerance > 0, "krylov_svd: tolerance ", options.tolerance, " must be positive; 1e-6 is a usual one");
}

}  // namespace

KrylovResult krylov_svd(const Context& context, const TensorView& a_MN, const KrylovOptions& options) {
  const Arithmetic maths(context, a_MN.dtype, a_MN.device);
  const Input input = checked_input(context, a_MN, "krylov_svd");
  check_options(input, options);
  const std::int64_t wanted = options.block > 0 ? options.block : std::min<std::int64_t>(options.rank, 32);
  const std::int64_t block = std::min({wanted, input.rows, input.columns});
  const int enough = static_cast<int>((std::min(input.rows, input.columns) + block - 1) / block);
  const int most_steps = std::min(std::max(options.most_steps, static_cast<int>((options.rank + block - 1) / block)), enough);
  require_memory(context, "krylov_svd", BlockLanczos::bytes(a_MN.shape[0], input.columns, block, most_steps, a_MN.dtype), a_MN.device);
  const double norm = std::sqrt(maths.sum(maths.squared_norm(input.view)));

  BlockLanczos lanczos(maths, input, block, most_steps, options.sketch);
  BlockLanczos::Triplets triplets;
  KrylovResult result;
  result.reached_tolerance = false;
  while (lanczos.steps() < most_steps && lanczos.step()) {
    context.tell("krylov_svd: step", static_cast<double>(lanczos.steps()) / most_steps);
    if (lanczos.size() < options.rank) continue;
    triplets = lanczos.triplets();
    result.residuals = lanczos.residuals(triplets, options.rank);
    const double scale = triplets.values.front();
    if (all_within(result.residuals, std::max(options.tolerance, 4 * maths.unit_roundoff()) * scale)) {
      result.reached_tolerance = options.tolerance >= 4 * maths.unit_roundoff();
      break;
    }
  }
  double captured = 0;
  for (std::int64_t i = 0; i < options.rank; ++i) captured += triplets.values[static_cast<std::size_t>(i)] * triplets.values[static_cast<std::size_t>(i)];
  result.u_MK = maths.product(lanczos.u_ML(), triplets.left_LL.columns_from(0, options.rank));
  result.v_NK = maths.product(lanczos.v_NL(), triplets.right_LL.columns_from(0, options.rank));
  result.s_K = maths.copy_of(triplets.s_L.view().slice(0, options.rank));
  result.relative_error = error_indicator(norm, std::min(norm, std::sqrt(captured)));
  result.error_floor = maths.indicator_floor();
  result.iterations = lanczos.steps();
  result.passes = lanczos.passes();
  return result;
}

}  // namespace panther::linalg
