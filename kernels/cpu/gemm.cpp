#include "kernels/check_arguments.h"
#include "kernels/cpu/blas.h"
#include "kernels/cpu/entries.h"
#include "kernels/cpu/packed_gemm.h"
#include "kernels/cpu/tile_gemm.h"

namespace panther::cpu {
namespace {

template <class T>
void packed(double alpha, const TensorView& a_MK, const TensorView& b_KN, double beta, const TensorView& c_MN, const TensorView& bias_N) {
  packed_gemm<T>({c_MN.shape[0], c_MN.shape[1], a_MK.shape[1], static_cast<T>(alpha), static_cast<T>(beta), rows_of<T>(a_MK), columns_of<T>(b_KN),
                  nullptr, 0, c_MN, bias_N});
}

}  // namespace

void gemm(double alpha, const TensorView& a_MK, const TensorView& b_KN, double beta, const TensorView& c_MN, const TensorView& bias_N,
          std::span<std::byte>, Stream) {
  check::gemm(a_MK, b_KN, c_MN, bias_N);
  if (c_MN.numel() == 0) return;
  if (tile_gemm_any_layout(alpha, a_MK, b_KN, beta, c_MN, bias_N)) return;
  if (a_MK.shape[1] > 0 && blas_gemm(alpha, a_MK, b_KN, beta, c_MN, bias_N)) return;
  if (c_MN.dtype == DType::f64) return packed<double>(alpha, a_MK, b_KN, beta, c_MN, bias_N);
  packed<float>(alpha, a_MK, b_KN, beta, c_MN, bias_N);
}

}  // namespace panther::cpu
