#pragma once
// Shared by the kernels of compression: loops over elements, and sums of a block in a fixed order.
#include <cstdint>

#include "kernels/cuda/check.h"
#include "kernels/cuda/launch_plan.h"
#include "kernels/pack/alarm.h"
#include "kernels/pack/cuda/entries.h"

namespace panther::cuda {

/// Blocks for `count` elements, eight to a thread.
inline unsigned pass_blocks(std::int64_t count) { return static_cast<unsigned>(std::min<std::int64_t>(kMaxBlocks, divide_up(count, 8 * kThreads))); }

struct Pass {
  std::int64_t first;
  std::int64_t step;
};
__device__ inline Pass pass() {
  return {static_cast<std::int64_t>(blockIdx.x) * blockDim.x + threadIdx.x, static_cast<std::int64_t>(gridDim.x) * blockDim.x};
}

/// v at i.
__device__ inline float value_at(const float* gradient, const float* residual, std::int64_t i) {
  return residual == nullptr ? gradient[i] : gradient[i] + residual[i];
}

template <class T>
__device__ inline T warp_sum(T value) {
  for (int width = 16; width > 0; width /= 2) value += __shfl_xor_sync(0xffffffffu, value, width);
  return value;
}
__device__ inline std::uint32_t warp_most(std::uint32_t value) {
  for (int width = 16; width > 0; width /= 2) value = max(value, __shfl_xor_sync(0xffffffffu, value, width));
  return value;
}

/// The sum over a block, in every thread; `scratch` holds 32 values. All threads of the block take part.
template <class T>
__device__ inline T sum_of_block(T value, T* scratch) {
  value = warp_sum(value);
  __syncthreads();
  if (threadIdx.x % 32 == 0) scratch[threadIdx.x / 32] = value;
  __syncthreads();
  T sum = scratch[0];
  for (unsigned warp = 1; warp < (blockDim.x + 31) / 32; ++warp) sum += scratch[warp];
  return sum;
}
__device__ inline std::uint32_t most_of_block(std::uint32_t value, std::uint32_t* scratch) {
  value = warp_most(value);
  __syncthreads();
  if (threadIdx.x % 32 == 0) scratch[threadIdx.x / 32] = value;
  __syncthreads();
  std::uint32_t most = scratch[0];
  for (unsigned warp = 1; warp < (blockDim.x + 31) / 32; ++warp) most = max(most, scratch[warp]);
  return most;
}

/// Threads that saw nan or inf say so; all write the same.
__device__ inline void raise_from_warp(float* alarm, std::uint32_t largest) {
  if (alarm == nullptr) return;
  largest = warp_most(largest);
  if (threadIdx.x % 32 == 0) raise_alarm(alarm, largest);
}

}  // namespace panther::cuda
