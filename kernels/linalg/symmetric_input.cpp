#include "kernels/linalg/symmetric_input.h"

#include <cmath>

#include "core/error.h"

namespace panther::linalg {

Matrix whole_product(const Arithmetic& maths, const Input& a, const TensorView& x_NL) {
  Matrix result = maths.zeros(a.rows, x_NL.shape[1]);
  if (a.view.shape[0] > 0) maths.multiply(1, a.view, x_NL, 0, local_rows(maths, a, result.view()));
  maths.sum(result);
  return result;
}

TensorView local_rows(const Arithmetic& maths, const Input& a, const TensorView& whole) {
  return whole.slice(maths.context().first_row, a.view.shape[0]);
}

std::vector<double> diagonal_of(const Arithmetic& maths, const Input& a) {
  const std::int64_t first = maths.context().first_row, count = a.view.shape[0];
  TensorView diagonal = a.view;
  diagonal.data = static_cast<char*>(a.view.data) + first * a.view.strides[1] * static_cast<std::int64_t>(size_of(a.view.dtype));
  diagonal.dims = 1;
  diagonal.strides[0] = a.view.strides[0] + a.view.strides[1];
  std::vector<double> whole(static_cast<std::size_t>(a.rows), 0.0);
  if (count > 0) {
    const Matrix packed = maths.matrix(count, 1);
    maths.context().kernels.cast(diagonal, packed.column(0), maths.stream());
    const std::vector<double> mine = maths.download(packed.view());
    std::copy(mine.begin(), mine.end(), whole.begin() + first);
  }
  return maths.sum(whole);
}

Input symmetric_input(const Context& context, const TensorView& a_NN, const char* routine) {
  Input input = checked_input(context, a_NN, routine);
  PANTHER_REQUIRE(input.rows == input.columns, routine, ": a symmetric matrix is square, not ", input.rows, " x ", input.columns);
  const Arithmetic maths(context, a_NN.dtype, a_NN.device);
  const auto sketch = maths.sketch("gaussian", 2, input.columns, "symmetry");
  const Matrix z = maths.matrix(input.columns, 2);
  sketch->materialize(context.sketch(), {}, 1.0, z.view().transposed());
  const Matrix forward = whole_product(maths, input, z.view());
  const Matrix backward = maths.inner_product(input.view, local_rows(maths, input, z.view()));
  const double norm = std::sqrt(maths.sum(maths.squared_norm(input.view)));
  std::vector<double> x = maths.download(forward.view()), y = maths.download(backward.view());
  double difference = 0;
  for (std::size_t i = 0; i < x.size(); ++i) difference += (x[i] - y[i]) * (x[i] - y[i]);
  const double limit = 100 * std::sqrt(static_cast<double>(input.rows)) * maths.unit_roundoff() * norm * std::sqrt(maths.squared_norm(z.view()));
  PANTHER_REQUIRE(std::sqrt(difference) <= limit, routine, ": the matrix is not symmetric: A z and A^T z differ by ", std::sqrt(difference),
                  " for a random z, where rounding explains ", limit, "; symmetrise it first, or use rsvd");
  return input;
}

}  // namespace panther::linalg
