#include <algorithm>

#include "core/error.h"
#include "kernels/linalg/arithmetic.h"

namespace panther::linalg {
namespace {

bool unit_stride(const TensorView& a) {
  const bool columns = (a.shape[0] <= 1 || a.strides[0] == 1) && (a.shape[1] <= 1 || a.strides[1] >= a.shape[0]);
  const bool rows = (a.shape[1] <= 1 || a.strides[1] == 1) && (a.shape[0] <= 1 || a.strides[0] >= a.shape[1]);
  return columns || rows;
}

/// The stride of a dimension of size 1 is arbitrary; LAPACK's callers want it plausible.
TensorView tidy(TensorView a) {
  if (a.shape[0] <= 1) a.strides[0] = a.shape[1] <= 1 || a.strides[1] != 1 ? 1 : a.shape[1];
  if (a.shape[1] <= 1) a.strides[1] = a.strides[0] == 1 ? std::max<std::int64_t>(a.shape[0], 1) : 1;
  return a;
}

}  // namespace

Input checked_input(const Context& context, const TensorView& a, const char* routine) {
  PANTHER_REQUIRE(a.dims == 2, routine, ": a matrix is needed, not ", a.dims, " dimensions");
  PANTHER_REQUIRE(a.device.kind == context.kernels.device, routine, ": the matrix lies on another device than the ", context.kernels.name, " kernels");
  const Arithmetic maths(context, a.dtype, a.device);
  Input input;
  input.rows = context.rows_of(a);
  input.columns = a.shape[1];
  PANTHER_REQUIRE(input.rows > 0 && input.columns > 0, routine, ": a matrix of ", input.rows, " x ", input.columns, " is empty");
  PANTHER_REQUIRE(context.first_row >= 0 && context.first_row + a.shape[0] <= input.rows, routine, ": rows [", context.first_row, ", ",
                  context.first_row + a.shape[0], ") are not within the matrix's ", input.rows);
  PANTHER_REQUIRE(maths.split() || a.shape[0] == input.rows, routine, ": ", a.shape[0], " of ", input.rows,
                  " rows, and no sum_over_ranks to reach the others");
  input.view = tidy(a);
  if (!unit_stride(a)) {
    input.copy = maths.copy_of(a);
    input.view = input.copy.view();
  }
  const bool columns = input.view.strides[0] == 1;
  const bool finite = maths.lapack().all_finite(columns ? input.view : input.view.transposed(), context.allocator, context.stream);
  PANTHER_REQUIRE(maths.sum(finite ? 0.0 : 1.0) == 0, routine, ": the matrix has nan or infinite entries; nothing was computed");
  return input;
}

}  // namespace panther::linalg
