// The kernels with torch's GEMM on the CPU, where our own is not for the product: torch carries MKL, and one BLAS with one
// thread pool serves the whole process.
#include <ATen/ops/addmm.h>
#include <ATen/ops/mm.h>
#include <ATen/core/LegacyTypeDispatch.h>
#include <c10/core/impl/LocalDispatchKeySet.h>

#include "core/error.h"
#include "kernels/cpu/tile_gemm.h"
#include "runtime/tensor/view_of.h"

namespace panther::runtime {
namespace {

/// Neither autograd nor autocast may see the raw product.
struct RawDispatch {
  at::AutoDispatchBelowADInplaceOrView below_autograd;
  c10::impl::ExcludeDispatchKeyGuard without_autocast{c10::autocast_dispatch_keyset};
};

void torch_gemm(double alpha, const TensorView& a_MK, const TensorView& b_KN, double beta, const TensorView& c_MN, const TensorView& bias_N,
                std::span<std::byte>, Stream) {
  PANTHER_CHECK(a_MK.dims == 2 && b_KN.dims == 2 && c_MN.dims == 2 && a_MK.shape[1] == b_KN.shape[0] && a_MK.shape[0] == c_MN.shape[0] &&
                b_KN.shape[1] == c_MN.shape[1], "gemm of (", a_MK.shape[0], " x ", a_MK.shape[1], ") and (", b_KN.shape[0], " x ",
                b_KN.shape[1], ") into (", c_MN.shape[0], " x ", c_MN.shape[1], ")");
  if (c_MN.numel() == 0) return;
  if (cpu::tile_gemm(alpha, a_MK, b_KN, beta, c_MN, bias_N)) return;
  const RawDispatch guard;
  at::Tensor c = tensor_over(c_MN);
  const at::Tensor a = tensor_over(a_MK);
  const at::Tensor b = tensor_over(b_KN);
  if (bias_N.data != nullptr && beta == 0) {
    at::addmm_out(c, tensor_over(bias_N), a, b, 1.0, alpha);
    return;
  }
  if (beta == 0 && alpha == 1) at::mm_out(c, a, b);
  else at::addmm_out(c, c, a, b, beta, alpha);
  if (bias_N.data != nullptr) c.add_(tensor_over(bias_N));
}

KernelSet make_cpu_set() {
  KernelSet set = cpu_kernels();
  set.name = "cpu with torch's gemm";
  set.gemm = &torch_gemm;
  return set;
}

}  // namespace

const KernelSet& runtime_kernels(DeviceKind device) {
  static const KernelSet cpu = make_cpu_set();
  return device == DeviceKind::cpu ? cpu : kernels_for(device);
}

}  // namespace panther::runtime
