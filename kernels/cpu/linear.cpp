#include "kernels/cpu/linear.h"

#include <algorithm>

#include "kernels/cpu/dot_product.h"
#include "kernels/cpu/outer_product.h"
#include "kernels/cpu/parallel.h"
#include "kernels/cpu/sign_bits.h"
#include "kernels/linear/check_linear.h"

namespace panther::cpu {
namespace {

template <class T>
TileTarget<T> target_of(double alpha, double beta, const TensorView& out, const LinearEpilogue& epilogue) {
  return {static_cast<T>(alpha), static_cast<T>(beta), out, epilogue};
}

void project(double alpha, const TensorView& x_BL, const StackedRows& rows_NL, double beta, const TensorView& out_BN, std::span<std::byte>, Stream) {
  check::project(x_BL, rows_NL, out_BN);
  if (out_BN.dtype == DType::f64) return dot_product(target_of<double>(alpha, beta, out_BN, {}), x_BL, rows_NL);
  dot_product(target_of<float>(alpha, beta, out_BN, {}), x_BL, rows_NL);
}

void combine(double alpha, const TensorView& h_BN, const StackedRows& rows_NL, double beta, const TensorView& out_BL, const LinearEpilogue& epilogue,
             std::span<std::byte>, Stream) {
  check::combine(h_BN, rows_NL, out_BL, epilogue);
  if (out_BL.dtype == DType::f64) return outer_product(target_of<double>(alpha, beta, out_BL, epilogue), h_BN, rows_NL);
  outer_product(target_of<float>(alpha, beta, out_BL, epilogue), h_BN, rows_NL);
}

void reduce(double alpha, const TensorView& a_BN, const TensorView& b_BL, double beta, const TensorView& out_NL, std::span<std::byte> workspace,
            Stream stream) {
  combine(alpha, a_BN.transposed(), rows_of_view(b_BL), beta, out_NL, {}, workspace, stream);
}

void fused_forward(double alpha, const TensorView& x_BD, const StackedRows& p_ND, const StackedRows& q_NO, const TensorView& h_BN, const TensorView& y_BO,
                   const LinearEpilogue& epilogue, std::span<std::byte> workspace, Stream stream) {
  project(1.0, x_BD, p_ND, 0.0, h_BN, workspace, stream);
  combine(alpha, h_BN, q_NO, 0.0, y_BO, epilogue, workspace, stream);
}

void make_bits(SignKey key, const TensorView& bits_NW, Stream) {
  check::bits(bits_NW);
  const std::int64_t blocks = bits_NW.shape[1] / 4;
  if (bits_NW.numel() == 0) return;
  parallel_for(bits_NW.shape[0], bits_NW.numel() * 32, [&](std::int64_t v) {
    cpu::sign_bits(key, v, 1, 0, blocks, bits_NW.as<std::uint32_t>() + v * bits_NW.strides[0]);
  });
}

template <class T>
void expand(double scale, const StackedRows& rows, const TensorView& out_NL) {
  constexpr std::int64_t width = 512;
  const std::int64_t columns = (out_NL.shape[1] + width - 1) / width;
  parallel_for(out_NL.shape[0] * columns, out_NL.numel(), [&](std::int64_t index) {
    T values[width];
    const std::int64_t row = index / columns, column = index % columns * width, count = std::min(width, out_NL.shape[1] - column);
    fetch_rows(rows, row, 1, column, count, values, width);
    store_tile(target_of<T>(scale, 0.0, out_NL, {}), row, 1, column, count, values, width);
  });
}

void expand_rows(double scale, const StackedRows& rows, const TensorView& out_NL, Stream) {
  check::rows(rows, out_NL.shape[1], "expand_rows");
  if (out_NL.dtype == DType::f64) return expand<double>(scale, rows, out_NL);
  expand<float>(scale, rows, out_NL);
}

}  // namespace

const LinearKernels& linear_kernels() {
  static constexpr LinearKernels table{project, combine, reduce, fused_forward, activation_backward, make_bits, expand_rows};
  return table;
}

}  // namespace panther::cpu
