#include "kernels/linalg/eigsh.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include "core/error.h"
#include "kernels/linalg/memory_need.h"
#include "kernels/linalg/orthonormalize.h"
#include "kernels/linalg/symmetric_input.h"

namespace panther::linalg {
namespace {

struct Ritz {
  Matrix vectors_LK;
  std::vector<double> values;
};

/// Of T = V^T A V, by descending magnitude.
Ritz ritz_pairs(const Arithmetic& maths, const TensorView& v_NL, const TensorView& av_NL, std::int64_t rank) {
  const std::int64_t size = v_NL.shape[1];
  const Matrix core = maths.product(v_NL.transposed(), av_NL), values = maths.matrix(size, 1);
  maths.lapack().eigh(core.view(), values.column(0), maths.allocator(), maths.stream());
  const std::vector<double> all = maths.download(values.view());
  std::vector<std::int64_t> order(static_cast<std::size_t>(size));
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](auto i, auto j) { return std::abs(all[static_cast<std::size_t>(i)]) > std::abs(all[static_cast<std::size_t>(j)]); });
  order.resize(static_cast<std::size_t>(rank));
  Ritz result{maths.matrix(size, rank), {}};
  maths.lapack().gather_columns(core.view(), order, result.vectors_LK.view(), maths.allocator(), maths.stream());
  for (const std::int64_t index : order) result.values.push_back(all[static_cast<std::size_t>(index)]);
  return result;
}

double largest_residual(const Arithmetic& maths, const TensorView& v_NL, const TensorView& av_NL, const Ritz& ritz) {
  const std::int64_t rank = ritz.vectors_LK.columns();
  const Matrix scaled = maths.copy_of(ritz.vectors_LK.view());
  for (std::int64_t j = 0; j < rank; ++j) {
    maths.context().kernels.scale(-ritz.values[static_cast<std::size_t>(j)], scaled.column(j), maths.stream());
  }
  const Matrix residual = maths.product(av_NL, ritz.vectors_LK.view());
  maths.multiply(1, v_NL, scaled.view(), 1, residual.view());
  const std::vector<double> squares = maths.column_squares(residual.view());
  return std::sqrt(*std::max_element(squares.begin(), squares.end()));
}

}  // namespace

EigenResult eigsh(const Context& context, const TensorView& a_NN, const EigshOptions& options) {
  const Arithmetic maths(context, a_NN.dtype, a_NN.device);
  const Input input = symmetric_input(context, a_NN, "eigsh");
  const std::int64_t n = input.columns;
  PANTHER_REQUIRE(options.rank >= 1 && options.rank <= n, "eigsh: rank ", options.rank, " of a ", n, " x ", n, " matrix must be in [1, ", n, "]");
  PANTHER_REQUIRE(options.block >= 0 && options.most_steps >= 1 && options.tolerance > 0, "eigsh: block ", options.block,
                  " must not be negative, steps ", options.most_steps, " at least 1, tolerance ", options.tolerance, " positive");
  const std::int64_t block = std::min(options.block > 0 ? options.block : options.rank + 10, n);
  const std::int64_t least_steps = (options.rank + block - 1) / block, most_steps = std::max<std::int64_t>(options.most_steps, least_steps);
  const std::int64_t most = std::min(n, block * most_steps);
  require_memory(context, "eigsh", 3.0 * static_cast<double>(most) * static_cast<double>(n) * static_cast<double>(size_of(a_NN.dtype)), a_NN.device);

  const Context whole = replicated(context);
  const Matrix v = maths.matrix(n, most), av = maths.matrix(n, most);
  const TensorView start = v.columns_from(0, block);
  maths.sketch(options.sketch, block, n, "eigsh")->materialize(context.sketch(), {}, 1.0, start.transposed());
  orthonormalize(whole, start);
  EigenResult result;
  result.reached_tolerance = false;
  const double tolerance = std::max(options.tolerance, 16 * maths.unit_roundoff());
  Ritz ritz;
  for (std::int64_t size = 0, fresh = block; fresh > 0;) {
    maths.copy(whole_product(maths, input, v.columns_from(size, fresh)).view(), av.columns_from(size, fresh));
    size += fresh;
    ++result.passes;
    ++result.iterations;
    const bool last = size == most;
    if (size >= options.rank) {
      ritz = ritz_pairs(maths, v.columns_from(0, size), av.columns_from(0, size), options.rank);
      const double scale = std::abs(ritz.values.front()), residual = largest_residual(maths, v.columns_from(0, size), av.columns_from(0, size), ritz);
      result.relative_error = scale > 0 ? residual / scale : 0;
      result.reached_tolerance = result.relative_error <= options.tolerance;
      if (result.relative_error <= tolerance || last) {
        result.vectors_MK = maths.copy_of(local_rows(maths, input, maths.product(v.columns_from(0, size), ritz.vectors_LK.view()).view()));
        break;
      }
    }
    context.tell("eigsh: step", static_cast<double>(size) / static_cast<double>(most));
    fresh = std::min(fresh, most - size);
    maths.copy(av.columns_from(size - std::min(block, size), fresh), v.columns_from(size, fresh));
    orthonormalize_against(whole, v.columns_from(0, size), v.columns_from(size, fresh));
  }
  result.values_K = maths.matrix(options.rank, 1);
  maths.upload(ritz.values, result.values_K.view());
  result.error_floor = 16 * maths.unit_roundoff();
  return result;
}

}  // namespace panther::linalg
