#pragma once
// The table of kernels of one device. Algorithms take `(const KernelSet&, Stream)` and are written once; the contract
// test compares every CUDA entry with its CPU entry over shapes and dtypes.
//
// All entries: views describe data on the set's device; strided views are allowed where a comment does not say
// contiguous; sizes may be 0; nothing is allocated; CUDA entries enqueue on the stream and return.
#include <cstddef>
#include <cstdint>
#include <span>

#include "kernels/export.h"
#include "kernels/sketch/signs.h"
#include "kernels/stream.h"
#include "kernels/view.h"

namespace panther {

/// One tensor of a fused optimizer call. All four views are contiguous and of equal numel.
struct OptimizerTensor {
  TensorView parameter;
  TensorView gradient;
  TensorView first_moment;   ///< f32 or f64, as the parameter
  TensorView second_moment;
  double lr = 0;             ///< already scheduled and scaled for this tensor
  double weight_decay = 0;   ///< decoupled
};

struct AdamWStep {
  double beta1 = 0.9;
  double beta2 = 0.95;
  double epsilon = 1e-8;
  std::int64_t step = 1;        ///< 1-based, for the bias corrections
  double gradient_scale = 1.0;  ///< multiplied in first (clipping)
};

struct SgdStep {
  double momentum = 0.0;
  bool nesterov = false;
  double gradient_scale = 1.0;
};

struct DenseSketchKernels;   // kernels/sketch/dense_kernels.h
struct SparseSketchKernels;  // kernels/sketch/sparse_kernels.h
struct HadamardKernels;      // kernels/sketch/hadamard_kernels.h
struct LapackKernels;        // kernels/linalg/lapack_kernels.h
struct LinearKernels;        // kernels/linear/linear_kernels.h

struct KernelSet {
  const char* name = "";
  DeviceKind device = DeviceKind::cpu;

  /// c_MN = alpha a_MK b_KN + beta c_MN (+ bias_N broadcast over rows when bias.data != nullptr). Transposes are strides.
  /// All of one dtype out of f64 f32 bf16 f16; accumulation in f32 at least. beta == 0 never reads c.
  /// c may not overlap a or b. `workspace` may be empty; CUDA uses it for split-K.
  void (*gemm)(double alpha, const TensorView& a_MK, const TensorView& b_KN, double beta, const TensorView& c_MN,
               const TensorView& bias_N, std::span<std::byte> workspace, Stream stream) = nullptr;

  /// out_VE[v, e] = scale * sign(first_vector + v, first_element + e). out any floating dtype, any strides.
  void (*sign_expand)(SignKey key, std::int64_t first_vector, std::int64_t first_element, double scale,
                      const TensorView& out_VE, Stream stream) = nullptr;
  /// out_BV = alpha x_BE S^T + beta out_BV with S[v, e] = sign(v, e): projects elements onto V sign vectors. S is never stored.
  void (*sign_project)(SignKey key, double alpha, const TensorView& x_BE, double beta, const TensorView& out_BV, Stream stream) = nullptr;
  /// out_BE = alpha x_BV S + beta out_BE: the transposed product.
  void (*sign_lift)(SignKey key, double alpha, const TensorView& x_BV, double beta, const TensorView& out_BE, Stream stream) = nullptr;

  /// destination = source, converted (round to nearest even). Equal shapes, any strides, any dtypes.
  void (*cast)(const TensorView& source, const TensorView& destination, Stream stream) = nullptr;
  /// destination = sum of sources, accumulated in f32 (f64 for f64, i64 for integers) in the order given, rounded once.
  /// Contiguous; equal numel; up to 64 sources of one dtype; destination may be a source.
  void (*packed_sum)(std::span<const TensorView> sources, const TensorView& destination, Stream stream) = nullptr;
  /// destination = factor * destination. Contiguous floating.
  void (*scale)(double factor, const TensorView& destination, Stream stream) = nullptr;
  /// *sum_f64 (one f64 on the device) = sum of squares over all tensors, in a fixed order; nan or inf when any element is.
  void (*sum_of_squares)(std::span<const TensorView> tensors, const TensorView& sum_f64, Stream stream) = nullptr;

  void (*adamw)(std::span<const OptimizerTensor> tensors, const AdamWStep& step, Stream stream) = nullptr;
  /// Uses first_moment as the momentum buffer (may be empty when momentum == 0).
  void (*sgd)(std::span<const OptimizerTensor> tensors, const SgdStep& step, Stream stream) = nullptr;

  // Tables of their own, so that who uses one does not compile against the others. nullptr: not built; whoever needs one says so.
  const DenseSketchKernels* dense_sketch = nullptr;
  const SparseSketchKernels* sparse_sketch = nullptr;
  const HadamardKernels* hadamard = nullptr;
  const LapackKernels* lapack = nullptr;
  const LinearKernels* linear = nullptr;
};

/// Always there. GEMM is OpenBLAS when built with it, else a blocked loop; the runtime overrides `gemm` with torch's.
PANTHER_KERNELS_API const KernelSet& cpu_kernels();
/// nullptr when not built with CUDA or when there is no device; `why_no_cuda()` says which, with the remedy.
PANTHER_KERNELS_API const KernelSet* cuda_kernels();
PANTHER_KERNELS_API const char* why_no_cuda();
/// The set for a device. Throws Unsupported with why_no_cuda().
PANTHER_KERNELS_API const KernelSet& kernels_for(DeviceKind device);

}  // namespace panther
