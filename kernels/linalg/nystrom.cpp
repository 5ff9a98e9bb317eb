#include "kernels/linalg/nystrom.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "core/error.h"
#include "kernels/linalg/memory_need.h"
#include "kernels/linalg/orthonormalize.h"
#include "kernels/linalg/symmetric_input.h"

namespace panther::linalg {
namespace {

[[noreturn]] void refuse_indefinite(const char* evidence, double value) {
  fail(ErrorCode::InvalidArgument, "nystrom: the matrix is not positive semidefinite: ", evidence, " ", value, "; use eigsh for indefinite matrices");
}

/// Of Omega^T A Omega with orthonormal Omega, whose eigenvalues lie within A's.
void check_core(const Arithmetic& maths, const Matrix& core, double scale) {
  const Matrix vectors = maths.copy_of(core.view(), DType::f64), values = maths.matrix(core.rows(), 1, DType::f64);
  maths.lapack().eigh(vectors.view(), values.column(0), maths.allocator(), maths.stream());
  const double smallest = maths.download(values.view()).front();
  if (smallest < -scale) refuse_indefinite("a Rayleigh quotient is", smallest);
}

/// y + shift omega
Matrix shifted_by(const Arithmetic& maths, const Matrix& y, const Matrix& omega, double shift) {
  Matrix result = maths.copy_of(y.view());
  const Matrix diagonal = maths.matrix(omega.columns(), omega.columns());
  maths.lapack().fill('A', 0, shift, diagonal.view(), maths.stream());
  maths.multiply(1, omega.view(), diagonal.view(), 1, result.view());
  return result;
}

}  // namespace

EigenResult nystrom(const Context& context, const TensorView& a_NN, const NystromOptions& options) {
  const Arithmetic maths(context, a_NN.dtype, a_NN.device);
  const Input input = symmetric_input(context, a_NN, "nystrom");
  const std::int64_t n = input.columns, size = std::min(options.rank + options.oversampling, n);
  PANTHER_REQUIRE(options.rank >= 1 && options.rank <= n, "nystrom: rank ", options.rank, " of a ", n, " x ", n, " matrix must be in [1, ", n, "]");
  PANTHER_REQUIRE(options.oversampling >= 0 && options.power_iterations >= 0, "nystrom: oversampling and power iterations must not be negative");
  require_memory(context, "nystrom", 5.0 * static_cast<double>(size) * static_cast<double>(n) * static_cast<double>(size_of(a_NN.dtype)), a_NN.device);
  const std::vector<double> diagonal = diagonal_of(maths, input);
  const double trace = std::accumulate(diagonal.begin(), diagonal.end(), 0.0);
  const double norm = std::sqrt(maths.sum(maths.squared_norm(input.view)));
  const double rounding = 10 * static_cast<double>(n) * maths.unit_roundoff() * norm;
  const double lowest = *std::min_element(diagonal.begin(), diagonal.end());
  if (lowest < -rounding) refuse_indefinite("a diagonal entry is", lowest);

  const Context whole = replicated(context);
  const Matrix omega = maths.matrix(n, size);
  maths.sketch(options.sketch, size, n, "nystrom")->materialize(context.sketch(), {}, 1.0, omega.view().transposed());
  orthonormalize(whole, omega.view());
  EigenResult result;
  for (; result.iterations < options.power_iterations; ++result.iterations) {
    maths.copy(whole_product(maths, input, omega.view()).view(), omega.view());
    orthonormalize(whole, omega.view());
  }
  const Matrix y = whole_product(maths, input, omega.view());
  result.passes = options.power_iterations + 1;
  Matrix core = maths.product(omega.view().transposed(), y.view());
  check_core(maths, core, rounding);
  double shift = std::sqrt(static_cast<double>(n)) * maths.unit_roundoff() * std::max(std::sqrt(maths.squared_norm(y.view())), 1e-300);
  Matrix shifted = shifted_by(maths, y, omega, shift);
  core = maths.product(omega.view().transposed(), shifted.view());
  // The core's eigenvalues are above -rounding: a little more shift than that must do.
  while (norm > 0 && maths.lapack().cholesky(core.view(), maths.allocator(), maths.stream()) != 0) {
    if (shift > 4 * rounding) refuse_indefinite("the shifted compression has no Cholesky factor; shift", shift);
    shift *= 8;
    shifted = shifted_by(maths, y, omega, shift);
    core = maths.product(omega.view().transposed(), shifted.view());
  }
  if (norm > 0) maths.lapack().solve_upper(Side::right, false, 1, core.view(), shifted.view(), maths.allocator(), maths.stream());

  const Matrix r = maths.matrix(size, size), left = maths.matrix(size, size), s = maths.matrix(size, 1), right = maths.matrix(size, size);
  orthonormalize(whole, shifted.view(), r.view());
  maths.lapack().svd(r.view(), left.view(), s.column(0), right.view(), maths.allocator(), maths.stream());
  std::vector<double> values = maths.download(s.view());
  values.resize(static_cast<std::size_t>(options.rank));
  for (double& value : values) value = std::max(0.0, value * value - shift);
  const double kept = std::accumulate(values.begin(), values.end(), 0.0);
  if (trace - kept < -rounding) refuse_indefinite("the trace is less than the leading eigenvalues' sum, by", kept - trace);
  result.vectors_MK = maths.copy_of(local_rows(maths, input, maths.product(shifted.view(), left.columns_from(0, options.rank)).view()));
  result.values_K = maths.matrix(options.rank, 1);
  maths.upload(values, result.values_K.view());
  result.relative_error = trace > 0 ? std::max(0.0, trace - kept) / trace : 0;
  result.error_floor = static_cast<double>(n) * maths.unit_roundoff();
  return result;
}

}  // namespace panther::linalg
