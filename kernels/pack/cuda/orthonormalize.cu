// Cholesky QR twice. Every entry of the Gram matrix is one thread block's sum in a fixed tree, without fused multiply-adds: the same bits on every GPU.
#include "kernels/element/random_direction.h"
#include "kernels/pack/cuda/entries.h"
#include "kernels/pack/cuda/quads.cuh"
#include "kernels/cuda/team_sum.cuh"

namespace panther::cuda {
namespace {

constexpr double kDependent = 1e-10;          ///< squared relative distance below which a column counts as dependent
constexpr std::int64_t kSharedRank = 128;     ///< up to which a Gram matrix is factored in shared memory

/// Where kernels of the second round look: they do nothing where it says that no column started again.
using Gate = const double*;
__device__ bool closed(Gate gate) { return gate != nullptr && *gate == 0; }

__device__ double dot(const float* a, const float* b, std::int64_t count) {
  double sum = 0;
#pragma unroll 8
  for (std::int64_t i = threadIdx.x; i < count; i += kThreads) sum += static_cast<double>(a[i]) * static_cast<double>(b[i]);
  return join_team<kThreads>(sum, Plus<double>());
}

/// Block e computes entry e of the lower triangle, row by row.
__global__ void __launch_bounds__(kThreads) gram_kernel(const float* factor, std::int64_t rows, std::int64_t rank, double* g, Gate gate) {
  if (closed(gate)) return;
  std::int64_t a = 0;
  while ((a + 1) * (a + 2) / 2 <= blockIdx.x) ++a;
  const std::int64_t b = blockIdx.x - a * (a + 1) / 2;
  const double sum = dot(factor + a * rows, factor + b * rows, rows);
  if (threadIdx.x == 0) g[a * rank + b] = sum;
}

/// One block: the lower triangle becomes its Cholesky factor, with 0 on the diagonal of a dependent column. Columns go from left to right and each takes
/// itself away from those behind it, so every entry is diminished in the order of the columns.
__global__ void __launch_bounds__(kThreads) cholesky_kernel(double* g, std::int64_t rank, bool in_shared, Gate gate) {
  extern __shared__ double shared[];
  if (closed(gate)) return;
  const auto count = static_cast<int>(rank), thread = static_cast<int>(threadIdx.x);
  double* before = shared;  // the diagonal as it was
  double* l = in_shared ? shared + rank : g;
  for (int e = thread; e < count * count; e += kThreads) {
    if (in_shared && e % count <= e / count) l[e] = g[e];
    if (e % count == e / count) before[e / count] = g[e];
  }
  __syncthreads();
  for (int k = 0; k < count; ++k) {
    const double rest = l[k * count + k];
    const double pivot = rest <= kDependent * before[k] ? 0 : sqrt(rest);  // nan is not below, and spreads
    for (int j = k + 1 + thread; j < count; j += kThreads) l[j * count + k] = pivot == 0 ? 0 : l[j * count + k] / pivot;
    __syncthreads();
    if (thread == 0) l[k * count + k] = pivot;
    const int left = count - k - 1;
    for (int e = thread; e < left * left; e += kThreads) {
      const int j = k + 1 + e / left, m = k + 1 + e % left;
      if (m <= j) l[j * count + m] -= l[j * count + k] * l[m * count + k];
    }
    __syncthreads();
  }
  if (!in_shared) return;
  for (int e = thread; e < count * count; e += kThreads) {
    if (e % count <= e / count) g[e] = l[e];
  }
}

/// column_j = (column_j - sum_k l_jk column_k) / l_jj, a row a thread.
__global__ void __launch_bounds__(kThreads) solve_kernel(float* factor, std::int64_t rows, std::int64_t rank, const double* l, Gate gate) {
  if (closed(gate)) return;
  const std::int64_t i = static_cast<std::int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  if (i >= rows) return;
  for (std::int64_t j = 0; j < rank; ++j) {
    const double pivot = l[j * rank + j], inverse = pivot == 0 ? 0 : 1 / pivot;
    double value = static_cast<double>(factor[j * rows + i]);
#pragma unroll 8
    for (std::int64_t k = 0; k < j; ++k) value -= l[j * rank + k] * static_cast<double>(factor[k * rows + i]);
    factor[j * rows + i] = static_cast<float>(value * inverse);
  }
}

/// Block j: a column of zeros starts again at random, and the gate opens.
__global__ void __launch_bounds__(kThreads) restart_kernel(OrthonormalizeArguments a, double* gate) {
  const std::int64_t column = blockIdx.x;
  float* values = a.factor_RM + column * a.rows;
  bool any = false;
  for (std::int64_t i = threadIdx.x; i < a.rows; i += kThreads) any = any || values[i] != 0;
  if (__syncthreads_or(any)) return;
  for (std::int64_t i = threadIdx.x; i < a.rows; i += kThreads) values[i] = random_direction(a.key, a.step, column, i);
  if (threadIdx.x == 0) *gate = 1;
}

void cholesky_qr_twice(const OrthonormalizeArguments& a, Gate gate, cudaStream_t stream) {
  const bool in_shared = a.rank <= kSharedRank;
  const std::size_t bytes = static_cast<std::size_t>(a.rank + (in_shared ? a.rank * a.rank : 0)) * sizeof(double);
  if (bytes > 48 * 1024) {
    check_status(cudaFuncSetAttribute(cholesky_kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(bytes)), "cudaFuncSetAttribute");
  }
  for (int pass = 0; pass < 2; ++pass) {
    gram_kernel<<<static_cast<unsigned>(a.rank * (a.rank + 1) / 2), kThreads, 0, stream>>>(a.factor_RM, a.rows, a.rank, a.scratch_RR, gate);
    check_launch("orthonormalize");
    cholesky_kernel<<<1, kThreads, bytes, stream>>>(a.scratch_RR, a.rank, in_shared, gate);
    check_launch("orthonormalize");
    solve_kernel<<<static_cast<unsigned>(divide_up(a.rows, kThreads)), kThreads, 0, stream>>>(a.factor_RM, a.rows, a.rank, a.scratch_RR, gate);
    check_launch("orthonormalize");
  }
}

/// One block: trace and squares of the lower triangle, entry by entry.
__global__ void __launch_bounds__(kThreads) spectrum_kernel(const float* factor, std::int64_t rows, std::int64_t rank, double* out) {
  double trace = 0, squares = 0;
  for (std::int64_t a = 0; a < rank; ++a) {
    for (std::int64_t b = 0; b <= a; ++b) {
      const double entry = dot(factor + a * rows, factor + b * rows, rows);
      if (a == b) trace += entry;
      squares += (a == b ? 1 : 2) * entry * entry;
    }
  }
  if (threadIdx.x == 0) out[0] = trace, out[1] = squares;
}

}  // namespace

void orthonormalize(const OrthonormalizeArguments& a, Stream stream) {
  if (a.rows == 0 || a.rank == 0) return;
  cholesky_qr_twice(a, nullptr, native(stream));
  if (!a.complete) return;
  double* gate = a.scratch_RR + a.rank * a.rank;
  check_status(cudaMemsetAsync(gate, 0, sizeof(double), native(stream)), "cudaMemsetAsync");
  restart_kernel<<<static_cast<unsigned>(a.rank), kThreads, 0, native(stream)>>>(a, gate);
  check_launch("orthonormalize");
  cholesky_qr_twice(a, gate, native(stream));
}

void spectrum(const float* factor_RM, std::int64_t rows, std::int64_t rank, double* out, Stream stream) {
  spectrum_kernel<<<1, kThreads, 0, native(stream)>>>(factor_RM, rows, rank, out);
  check_launch("spectrum");
}

}  // namespace panther::cuda
