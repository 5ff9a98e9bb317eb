#pragma once
// Sums and maxima over a team of threads, a warp or a whole thread block, in a fixed tree; every thread gets the result.
#include <cstdint>

#include "kernels/cuda/launch_plan.h"

namespace panther::cuda {

template <class T>
struct Plus {
  __device__ T operator()(T a, T b) const { return a + b; }
};
template <class T>
struct Larger {
  __device__ T operator()(T a, T b) const { return a < b ? b : a; }
};

template <class T, class Join>
__device__ T join_warp(T value, Join join) {
#pragma unroll
  for (int distance = kWarp / 2; distance > 0; distance /= 2) value = join(value, __shfl_xor_sync(~0u, value, distance));
  return value;
}

/// All threads of the team call it.
template <int kTeam, class T, class Join>
__device__ T join_team(T value, Join join) {
  value = join_warp(value, join);
  if constexpr (kTeam > kWarp) {
    __shared__ T warps[kTeam / kWarp];
    if (threadIdx.x % kWarp == 0) warps[threadIdx.x / kWarp] = value;
    __syncthreads();
    value = warps[0];
#pragma unroll
    for (int w = 1; w < kTeam / kWarp; ++w) value = join(value, warps[w]);
    __syncthreads();
  }
  return value;
}

/// The sum of the values of the threads before this one in the block of kThreadsHere, and that of all in *total. All threads call it.
template <int kThreadsHere, class T>
__device__ T sum_before(T value, T* total) {
  constexpr int kWarpsHere = kThreadsHere / kWarp;
  __shared__ T warps[kWarpsHere];
  const int lane = static_cast<int>(threadIdx.x) % kWarp, warp = static_cast<int>(threadIdx.x) / kWarp;
  T sum = value;
#pragma unroll
  for (int distance = 1; distance < kWarp; distance *= 2) {
    const T other = __shfl_up_sync(~0u, sum, distance);
    if (lane >= distance) sum += other;
  }
  if (lane == kWarp - 1) warps[warp] = sum;
  __syncthreads();
  T before = 0, all = 0;
#pragma unroll
  for (int w = 0; w < kWarpsHere; ++w) {
    if (w < warp) before += warps[w];
    all += warps[w];
  }
  __syncthreads();
  *total = all;
  return before + sum - value;
}

}  // namespace panther::cuda
