#include "kernels/cuda/small_cholesky.h"

#include "kernels/cuda/device.cuh"
#include "kernels/cuda/device_memory.h"
#include "kernels/linalg/lapack_arguments.h"

namespace panther::cuda {
namespace {

constexpr int kCholeskyThreads = 512;
constexpr int kCholeskyWarps = kCholeskyThreads / kWarp;

/// Right-looking over the upper triangle, rows scaled only at the end: one barrier a step. info: 0, or the first minor that is not positive definite.
template <class T>
__global__ void __launch_bounds__(kCholeskyThreads, 1) small_cholesky_kernel(T* a, std::int64_t leading, int size, int pitch, int* info) {
  extern __shared__ __align__(16) unsigned char memory[];
  T* m = reinterpret_cast<T*>(memory);  // by columns, `pitch` apart; its lower triangle is not used
  const int lane = static_cast<int>(threadIdx.x) % kWarp, warp = static_cast<int>(threadIdx.x) / kWarp;
  for (int j = warp; j < size; j += kCholeskyWarps) {
    for (int i = lane; i <= j; i += kWarp) m[i + j * pitch] = a[i + j * leading];
  }
  __syncthreads();
  int failed = 0;
  for (int k = 0; k < size; ++k) {
    const T pivot = m[k + k * pitch];
    if (!(pivot > 0) || isinf(pivot)) {
      failed = k + 1;
      break;
    }
    const T inverse = 1 / pivot;
    for (int j = k + 1 + warp; j < size; j += kCholeskyWarps) {
      const T factor = m[k + j * pitch] * inverse;
      for (int i = k + 1 + lane; i <= j; i += kWarp) m[i + j * pitch] -= m[k + i * pitch] * factor;
    }
    __syncthreads();
  }
  if (threadIdx.x == 0) *info = failed;
  if (failed != 0) return;
  for (int j = warp; j < size; j += kCholeskyWarps) {
    for (int i = lane; i <= j; i += kWarp) a[i + j * leading] = m[i + j * pitch] / sqrt(m[i + i * pitch]);
  }
}

template <class T>
bool factor(const TensorView& a, Allocator& allocator, Stream stream, std::int64_t& failed) {
  const std::int64_t size = a.shape[0];
  int limit = 0;
  check_status(cudaDeviceGetAttribute(&limit, cudaDevAttrMaxSharedMemoryPerBlockOptin, a.device.index), "cudaDeviceGetAttribute");
  const std::int64_t pitch = size | 1;  // odd: a row's elements lie in different banks
  const auto shared = static_cast<std::int64_t>(sizeof(T)) * size * pitch;
  if (shared > limit) return false;
  const Workspace info(allocator, sizeof(int), a.device, stream);
  check_status(cudaFuncSetAttribute(small_cholesky_kernel<T>, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(shared)), "cudaFuncSetAttribute");
  small_cholesky_kernel<T><<<1, kCholeskyThreads, static_cast<std::size_t>(shared), native(stream)>>>(a.as<T>(), linalg::leading_dimension(a), static_cast<int>(size), static_cast<int>(pitch),
                                                                                                    static_cast<int*>(info.data()));
  check_launch("small_cholesky");
  int value = 0;
  copy_async(&value, info.data(), sizeof(int), stream);
  stream_synchronize(stream);
  failed = value;
  return true;
}

}  // namespace

bool small_cholesky(const TensorView& a_NN, Allocator& allocator, Stream stream, std::int64_t& failed) {
  const DeviceScope scope(a_NN.device.index);
  return a_NN.dtype == DType::f64 ? factor<double>(a_NN, allocator, stream, failed) : factor<float>(a_NN, allocator, stream, failed);
}

}  // namespace panther::cuda
