#include "kernels/cuda/linear.h"

#include "kernels/cuda/check.h"
#include "kernels/cuda/entries.h"
#include "kernels/cuda/fused_linear.h"
#include "kernels/linear/check_linear.h"

namespace panther::cuda {
namespace {

bool is_stored(const StackedRows& rows) { return rows.bottom.rows == 0 && rows.top.stored_NL.data != nullptr; }

/// Stored rows go to cuBLASLt's tensor cores; signs that are bits or keys to our tiles.
void project(double alpha, const TensorView& x_BL, const StackedRows& rows_NL, double beta, const TensorView& out_BN, std::span<std::byte> workspace,
             Stream stream) {
  check::project(x_BL, rows_NL, out_BN);
  if (is_stored(rows_NL)) return gemm(alpha, x_BL, rows_NL.top.stored_NL.transposed(), beta, out_BN, {}, workspace, stream);
  const DeviceScope scope(out_BN.device.index);
  project_kernel(alpha, x_BL, rows_NL, beta, out_BN, native(stream));
}

void combine(double alpha, const TensorView& h_BN, const StackedRows& rows_NL, double beta, const TensorView& out_BL, const LinearEpilogue& epilogue,
             std::span<std::byte> workspace, Stream stream) {
  check::combine(h_BN, rows_NL, out_BL, epilogue);
  if (out_BL.numel() == 0) return;
  const DeviceScope scope(out_BL.device.index);
  if (is_stored(rows_NL)) {
    if (gemm_with_epilogue(alpha, h_BN, rows_NL.top.stored_NL, beta, out_BL, epilogue, workspace, stream)) return;
    gemm(alpha, h_BN, rows_NL.top.stored_NL, beta, out_BL, {}, workspace, stream);
  } else {
    combine_kernel(alpha, h_BN, rows_NL, beta, out_BL, native(stream));
  }
  const bool nothing_left = epilogue.bias_O.data == nullptr && epilogue.aux_BO.data == nullptr && epilogue.activation == Activation::none;
  if (!nothing_left) epilogue_kernel(out_BL, epilogue, native(stream));
}

void reduce(double alpha, const TensorView& a_BN, const TensorView& b_BL, double beta, const TensorView& out_NL, std::span<std::byte> workspace,
            Stream stream) {
  gemm(alpha, a_BN.transposed(), b_BL, beta, out_NL, {}, workspace, stream);
}

void fused_forward(double alpha, const TensorView& x_BD, const StackedRows& p_ND, const StackedRows& q_NO, const TensorView& h_BN, const TensorView& y_BO,
                   const LinearEpilogue& epilogue, std::span<std::byte> workspace, Stream stream) {
  check::project(x_BD, p_ND, h_BN);
  check::combine(h_BN, q_NO, y_BO, epilogue);
  const DeviceScope scope(y_BO.device.index);
  if (fused_forward_kernel(alpha, x_BD, p_ND, q_NO, h_BN, y_BO, epilogue, workspace, native(stream))) return;
  project(1.0, x_BD, p_ND, 0.0, h_BN, workspace, stream);
  combine(alpha, h_BN, q_NO, 0.0, y_BO, epilogue, workspace, stream);
}

}  // namespace

const LinearKernels& linear_kernels() {
  static constexpr LinearKernels table{project, combine, reduce, fused_forward, activation_backward, make_sign_bits, expand_rows};
  return table;
}

}  // namespace panther::cuda
