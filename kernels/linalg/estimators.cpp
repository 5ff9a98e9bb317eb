#include "kernels/linalg/estimators.h"

#include <cmath>
#include <vector>

#include "core/error.h"
#include "kernels/linalg/krylov_svd.h"
#include "kernels/linalg/orthonormalize.h"
#include "kernels/linalg/symmetric_input.h"

namespace panther::linalg {
namespace {

Matrix signs(const Arithmetic& maths, std::int64_t n, std::int64_t count, const char* name) {
  Matrix result = maths.matrix(n, count);
  maths.sketch("rademacher", count, n, name)->materialize(maths.context().sketch(), {}, 1.0, result.view().transposed());
  return result;
}

Matrix mapped(const Arithmetic& maths, const LinearMap& map, const TensorView& x_NC) {
  Matrix result = maths.matrix(x_NC.shape[0], x_NC.shape[1]);
  map(x_NC, result.view());
  PANTHER_REQUIRE(maths.lapack().all_finite(result.view(), maths.allocator(), maths.stream()), "trace: a product with the matrix is nan or infinite");
  return result;
}

/// x_j^T y_j
std::vector<double> column_products(const Arithmetic& maths, const Matrix& x, const Matrix& y) {
  const std::vector<double> products = maths.download(maths.product(x.view().transposed(), y.view()).view());
  std::vector<double> diagonal;
  for (std::int64_t j = 0; j < x.columns(); ++j) diagonal.push_back(products[static_cast<std::size_t>(j * x.columns() + j)]);
  return diagonal;
}

/// Mean and its standard error.
void summarise(const std::vector<double>& samples, Estimate& estimate) {
  const double count = static_cast<double>(samples.size());
  double mean = 0, square = 0;
  for (const double sample : samples) mean += sample / count;
  for (const double sample : samples) square += (sample - mean) * (sample - mean);
  estimate.value += mean;
  estimate.error = samples.size() > 1 ? std::sqrt(square / (count - 1) / count) : std::abs(mean);
}

}  // namespace

Estimate trace(const Context& context, const LinearMap& map, std::int64_t n, DType dtype, Device device, std::int64_t products, TraceMethod method) {
  const Context whole = replicated(context);
  const Arithmetic maths(whole, dtype, device);
  PANTHER_REQUIRE(n >= 1, "trace: a matrix of ", n, " x ", n, " is empty");
  PANTHER_REQUIRE(products >= (method == TraceMethod::hutchpp ? 6 : 2), "trace: ", products, " products are too few; hutchpp needs 6, hutchinson 2");
  Estimate estimate;
  if (method == TraceMethod::hutchinson) {
    const Matrix z = signs(maths, n, products, "trace.probes"), az = mapped(maths, map, z.view());
    summarise(column_products(maths, z, az), estimate);
    estimate.iterations = static_cast<int>(products);
    estimate.products = products;
    return estimate;
  }
  const std::int64_t third = std::min(products / 3, n);
  const Matrix q = mapped(maths, map, signs(maths, n, third, "trace.range").view());
  orthonormalize(whole, q.view());
  for (const double product : column_products(maths, q, mapped(maths, map, q.view()))) estimate.value += product;
  estimate.products = 2 * third;
  if (third == n) return estimate;  // the range is everything: exact
  Matrix z = signs(maths, n, products - 2 * third, "trace.probes");
  maths.multiply(-1, q.view(), maths.product(q.view().transposed(), z.view()).view(), 1, z.view());
  summarise(column_products(maths, z, mapped(maths, map, z.view())), estimate);
  estimate.iterations = static_cast<int>(z.columns());
  estimate.products += z.columns();
  return estimate;
}

Estimate trace(const Context& context, const TensorView& a_NN, std::int64_t products, TraceMethod method) {
  const Input input = checked_input(context, a_NN, "trace");
  PANTHER_REQUIRE(input.rows == input.columns, "trace: a square matrix is needed, not ", input.rows, " x ", input.columns);
  const Arithmetic maths(context, a_NN.dtype, a_NN.device);
  const LinearMap map = [&](const TensorView& x, const TensorView& out) { maths.copy(whole_product(maths, input, x).view(), out); };
  return trace(context, map, input.columns, a_NN.dtype, a_NN.device, products, method);
}

Estimate spectral_norm(const Context& context, const TensorView& a_MN, double tolerance, int most_steps) {
  KrylovOptions options;
  options.rank = 1;
  options.block = 4;
  options.tolerance = tolerance;
  options.most_steps = most_steps;
  const KrylovResult found = krylov_svd(context, a_MN, options);
  const Arithmetic maths(context, a_MN.dtype, a_MN.device);
  return {maths.download(found.s_K.view()).front(), found.residuals.front(), found.iterations, 4 * found.passes};
}

Estimate frobenius_norm(const Context& context, const TensorView& a_MN) {
  const Input input = checked_input(context, a_MN, "frobenius_norm");
  const Arithmetic maths(context, a_MN.dtype, a_MN.device);
  const double norm = std::sqrt(maths.sum(maths.squared_norm(input.view)));
  return {norm, norm * 0x1p-53 * std::sqrt(static_cast<double>(input.rows * input.columns)), 1, 0};
}

}  // namespace panther::linalg
