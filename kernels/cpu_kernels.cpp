#include "core/error.h"
#include "kernels/cpu/dense_sketch.h"
#include "kernels/cpu/entries.h"
#include "kernels/cpu/hadamard.h"
#include "kernels/cpu/linear.h"
#include "kernels/cpu/sparse_sketch.h"
#include "kernels/kernel_set.h"

namespace panther {

const KernelSet& cpu_kernels() {
  static const KernelSet set = [] {
    KernelSet made{"cpu", DeviceKind::cpu, cpu::gemm, cpu::sign_expand, cpu::sign_project, cpu::sign_lift, cpu::cast,
                   cpu::packed_sum, cpu::scale, cpu::sum_of_squares, cpu::adamw, cpu::sgd};
    made.lapack = cpu::lapack_kernels();
    made.dense_sketch = &cpu::kDenseSketch;
    made.sparse_sketch = &cpu::kSparseSketch;
    made.hadamard = &cpu::kHadamard;
    made.linear = &cpu::linear_kernels();
    return made;
  }();
  return set;
}

const KernelSet& kernels_for(DeviceKind device) {
  if (device == DeviceKind::cpu) return cpu_kernels();
  const KernelSet* set = cuda_kernels();
  if (set == nullptr) fail(ErrorCode::Unsupported, "no CUDA kernels: ", why_no_cuda());
  return *set;
}

}  // namespace panther
