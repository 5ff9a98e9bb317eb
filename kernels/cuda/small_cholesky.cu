#include "kernels/cuda/small_cholesky.h"

#include "kernels/cuda/device.cuh"
#include "kernels/cuda/device_memory.h"
#include "kernels/linalg/lapack_arguments.h"

namespace panther::cuda {
namespace {

constexpr int kCholeskyThreads = 512;
constexpr int kCholeskyWarps = kCholeskyThreads / kWarp;

/// Whether block (r, c) of 32 rows by 16 columns holds anything of the upper triangle.
__device__ constexpr bool is_used(int r, int c) { return r * kWarp < (c + 1) * kCholeskyWarps; }

/// Right-looking, the matrix in registers: lane l of warp w holds rows l + 32 a of columns w + 16 b. A step passes its row on through shared memory, and rows are
/// scaled only at the end. info: 0, or the first minor that is not positive definite.
template <class T, int row_blocks>
__global__ void __launch_bounds__(kCholeskyThreads, 1) small_cholesky_kernel(T* a, std::int64_t leading, int size, int* info) {
  constexpr int kColumnBlocks = row_blocks * kWarp / kCholeskyWarps;
  __shared__ T passed[2][row_blocks * kWarp];
  __shared__ T pivots[row_blocks * kWarp];
  const int lane = static_cast<int>(threadIdx.x) % kWarp, warp = static_cast<int>(threadIdx.x) / kWarp;
  T m[row_blocks][kColumnBlocks];
#pragma unroll
  for (int r = 0; r < row_blocks; ++r) {
#pragma unroll
    for (int c = 0; c < kColumnBlocks; ++c) {
      if (!is_used(r, c)) continue;
      const int i = lane + r * kWarp, j = warp + c * kCholeskyWarps;
      m[r][c] = i <= j && j < size ? a[i + j * leading] : T{0};
    }
  }
  int failed = 0;
  for (int k = 0; k < size; ++k) {
    T* row = passed[k % 2];
#pragma unroll
    for (int r = 0; r < row_blocks; ++r) {
      if (lane + r * kWarp != k) continue;
#pragma unroll
      for (int c = 0; c < kColumnBlocks; ++c) {
        if (is_used(r, c)) row[warp + c * kCholeskyWarps] = m[r][c];
      }
    }
    __syncthreads();
    const T pivot = row[k];
    if (!(pivot > 0) || isinf(pivot)) {
      failed = k + 1;
      break;
    }
    if (threadIdx.x == 0) pivots[k] = pivot;
    const T inverse = 1 / pivot;
    T of_row[row_blocks];
#pragma unroll
    for (int r = 0; r < row_blocks; ++r) of_row[r] = lane + r * kWarp > k ? row[lane + r * kWarp] * inverse : T{0};
#pragma unroll
    for (int c = 0; c < kColumnBlocks; ++c) {
      const T of_column = row[warp + c * kCholeskyWarps];
#pragma unroll
      for (int r = 0; r < row_blocks; ++r) {
        if (is_used(r, c)) m[r][c] -= of_row[r] * of_column;
      }
    }
  }
  if (threadIdx.x == 0) *info = failed;
  if (failed != 0) return;
  __syncthreads();
#pragma unroll
  for (int r = 0; r < row_blocks; ++r) {
#pragma unroll
    for (int c = 0; c < kColumnBlocks; ++c) {
      const int i = lane + r * kWarp, j = warp + c * kCholeskyWarps;
      if (is_used(r, c) && i <= j && j < size) a[i + j * leading] = m[r][c] / sqrt(pivots[i]);
    }
  }
}

template <class T, int row_blocks>
void launch(const TensorView& a, int* info, Stream stream) {
  small_cholesky_kernel<T, row_blocks><<<1, kCholeskyThreads, 0, native(stream)>>>(a.as<T>(), linalg::leading_dimension(a), static_cast<int>(a.shape[0]), info);
  check_launch("small_cholesky");
}

constexpr std::int64_t kMostColumns = 160;

template <class T>
void factor(const TensorView& a, int* info, Stream stream) {
  if (a.shape[0] <= 64) return launch<T, 2>(a, info, stream);
  if (a.shape[0] <= 96) return launch<T, 3>(a, info, stream);
  launch<T, kMostColumns / kWarp>(a, info, stream);
}

}  // namespace

bool small_cholesky(const TensorView& a_NN, Allocator& allocator, Stream stream, std::int64_t& failed) {
  if (a_NN.shape[0] > kMostColumns) return false;
  const DeviceScope scope(a_NN.device.index);
  const Workspace memory(allocator, sizeof(int), a_NN.device, stream);
  auto* info = static_cast<int*>(memory.data());
  a_NN.dtype == DType::f64 ? factor<double>(a_NN, info, stream) : factor<float>(a_NN, info, stream);
  int value = 0;
  copy_async(&value, info, sizeof(int), stream);
  stream_synchronize(stream);
  failed = value;
  return true;
}

}  // namespace panther::cuda
