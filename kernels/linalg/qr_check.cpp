#include "kernels/linalg/qr_check.h"

#include <cmath>
#include <numbers>

#include "kernels/cuda/device_memory.h"
#include "kernels/linalg/blocks.h"
#include "kernels/philox.h"

namespace panther::linalg {
namespace {

constexpr std::int64_t kVectors = 4;

/// N(0, 1), equal on every rank and device: made on the host, it is N x 4.
Matrix random_vectors(const Context& context, const TensorView& like, std::int64_t rows, std::uint32_t domain) {
  std::vector<double> values(static_cast<std::size_t>(rows * kVectors));
  for (std::size_t i = 0; i < values.size(); ++i) {
    const PhiloxBlock block = philox({{static_cast<std::uint32_t>(i), static_cast<std::uint32_t>(i >> 32), domain, 0x51C4ECu}}, PhiloxKey::from(context.seed));
    values[i] = std::sqrt(-2 * std::log((block.word[0] + 0.5) * 0x1p-32)) * std::cos(2 * std::numbers::pi * block.word[1] * 0x1p-32);
  }
  Matrix result = make_matrix(context, like, rows, kVectors);
  Workspace staged(context.allocator, values.size() * sizeof(double), like.device, context.stream);
  if (values.empty()) return result;
  if (like.device.kind == DeviceKind::cuda) {
    copy_async(staged.data(), values.data(), values.size() * sizeof(double), context.stream);
    stream_synchronize(context.stream);
  }
  const TensorView source(like.device.kind == DeviceKind::cuda ? staged.data() : values.data(), DType::f64, {kVectors, rows}, like.device);
  context.kernels.cast(source, result.view().transposed(), context.stream);
  return result;
}

/// Sum of squares over all ranks' rows (split) or of a whole matrix.
double squares(const Context& context, const Matrix& a, bool split) {
  Matrix sums = make_matrix(context, a.view(), DType::f64, a.columns(), 1);
  lapack_of(context).column_norms(a.view(), sums.view(), context.stream);
  if (split) sum_over_ranks(context, head(sums.view(), a.columns()));
  double total = 0;
  for (const double sum : to_host(context, head(sums.view(), a.columns()))) total += sum;
  return total;
}

}  // namespace

QrQuality estimate_quality(const Context& context, const TensorView& a_MN, std::span<const std::int64_t> pivots, const TensorView& q_MK,
                           const TensorView& r_KN) {
  const auto product = [&](double alpha, const TensorView& a, const TensorView& b, double beta, const Matrix& c) {
    context.kernels.gemm(alpha, a, b, beta, c.view(), {}, {}, context.stream);
  };
  const std::int64_t rows = a_MN.shape[0], columns_N = a_MN.shape[1], rank = q_MK.shape[1];
  // A P x = A y with y[pivots[j]] = x[j]: draw y and gather x out of it.
  const Matrix y_NC = random_vectors(context, a_MN, columns_N, 0);
  Matrix x_NC = copy_of(context, y_NC.view());
  if (!pivots.empty()) {
    const Matrix y_CN = copy_of(context, y_NC.view().transposed());
    Matrix x_CN = make_matrix(context, a_MN, kVectors, columns_N);
    lapack_of(context).gather_columns(y_CN.view(), pivots, x_CN.view(), context.allocator, context.stream);
    x_NC = copy_of(context, x_CN.view().transposed());
  }
  const Matrix d_MC = make_matrix(context, a_MN, rows, kVectors), z_KC = make_matrix(context, a_MN, rank, kVectors);
  product(1, a_MN, y_NC.view(), 0, d_MC);
  const double size = squares(context, d_MC, true);
  product(1, r_KN, x_NC.view(), 0, z_KC);
  product(-1, q_MK, z_KC.view(), 1, d_MC);
  QrQuality quality;
  quality.residual = size > 0 ? std::sqrt(squares(context, d_MC, true) / size) : 0;

  Matrix e_KC = random_vectors(context, a_MN, rank, 1);
  const Matrix w_KC = make_matrix(context, a_MN, rank, kVectors);
  product(1, q_MK, e_KC.view(), 0, d_MC);
  product(1, q_MK.transposed(), d_MC.view(), 0, w_KC);
  sum_over_ranks(context, w_KC.view());
  const Matrix one = make_matrix(context, a_MN, kVectors, kVectors);
  lapack_of(context).fill('A', 0, 1, one.view(), context.stream);
  product(-1, e_KC.view(), one.view(), 1, w_KC);
  quality.orthogonality = std::sqrt(squares(context, w_KC, false) / static_cast<double>(kVectors));
  return quality;
}

}  // namespace panther::linalg
