#pragma once
// Four consecutive elements at a time: one access of 16 bytes where the pointers allow it, else four; fewer at the end.
#include <cstdint>

#include "kernels/cuda/device.cuh"
#include "kernels/pack/alarm.h"
#include "kernels/pack/pack_kernels.h"

namespace panther::cuda {

struct Quad {
  float at[4];
};

/// Elements [first, first + 4) of `count`; zero beyond. `first` is a multiple of 4.
__device__ inline Quad load_quad(const float* values, std::int64_t first, std::int64_t count, bool aligned) {
  if (aligned && first + 4 <= count) {
    const float4 four = *reinterpret_cast<const float4*>(values + first);
    return {{four.x, four.y, four.z, four.w}};
  }
  Quad quad{};
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    if (first + i < count) quad.at[i] = values[first + i];
  }
  return quad;
}

__device__ inline void store_quad(float* values, std::int64_t first, std::int64_t count, bool aligned, const Quad& quad) {
  if (aligned && first + 4 <= count) {
    *reinterpret_cast<float4*>(values + first) = make_float4(quad.at[0], quad.at[1], quad.at[2], quad.at[3]);
    return;
  }
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    if (first + i < count) values[first + i] = quad.at[i];
  }
}

/// v = gradient + residual.
struct Sum {
  const float* gradient = nullptr;
  const float* residual = nullptr;
  bool aligned = false;

  Sum(const float* gradient_, const float* residual_)
      : gradient(gradient_), residual(residual_), aligned(aligned16(gradient_) && aligned16(residual_)) {}
  /// Of one array.
  __host__ __device__ Sum(const float* values, bool aligned_) : gradient(values), aligned(aligned_) {}
  /// The same from element `first` on, a multiple of 4.
  __device__ Sum from(std::int64_t first) const {
    Sum sum = *this;
    sum.gradient += first;
    if (residual != nullptr) sum.residual += first;
    return sum;
  }
  __device__ Quad quad(std::int64_t first, std::int64_t count) const {
    Quad v = load_quad(gradient, first, count, aligned);
    if (residual == nullptr) return v;
    const Quad left = load_quad(residual, first, count, aligned);
#pragma unroll
    for (int i = 0; i < 4; ++i) v.at[i] += left.at[i];
    return v;
  }
};

/// Quads at first, first + stride, ... of v. All are asked for at once where none of them is cut.
template <int kMany>
__device__ void load_quads(const Sum& v, std::int64_t first, std::int64_t stride, std::int64_t count, Quad (&quads)[kMany]) {
  if (!v.aligned || first + (kMany - 1) * stride + 4 > count) {
#pragma unroll
    for (int q = 0; q < kMany; ++q) quads[q] = v.quad(first + q * stride, count);
    return;
  }
  float4 gradient[kMany], residual[kMany];
#pragma unroll
  for (int q = 0; q < kMany; ++q) gradient[q] = *reinterpret_cast<const float4*>(v.gradient + first + q * stride);
#pragma unroll
  for (int q = 0; q < kMany; ++q) quads[q] = {{gradient[q].x, gradient[q].y, gradient[q].z, gradient[q].w}};
  if (v.residual == nullptr) return;
#pragma unroll
  for (int q = 0; q < kMany; ++q) residual[q] = *reinterpret_cast<const float4*>(v.residual + first + q * stride);
#pragma unroll
  for (int q = 0; q < kMany; ++q) {
    quads[q].at[0] += residual[q].x;
    quads[q].at[1] += residual[q].y;
    quads[q].at[2] += residual[q].z;
    quads[q].at[3] += residual[q].w;
  }
}

__device__ inline std::uint32_t largest_magnitude(const Quad& quad) {
  std::uint32_t largest = 0;
#pragma unroll
  for (int i = 0; i < 4; ++i) largest = max(largest, bits_of(quad.at[i]) & kMagnitudeBits);
  return largest;
}

/// Calls step(first element, count) for every quad of `count` elements.
template <class Step>
__global__ void __launch_bounds__(kThreads) quads_kernel(Step step, std::int64_t count) {
  const std::int64_t quads = (count + 3) / 4, stride = static_cast<std::int64_t>(gridDim.x) * kThreads;
#pragma unroll 4
  for (std::int64_t q = static_cast<std::int64_t>(blockIdx.x) * kThreads + threadIdx.x; q < quads; q += stride) step(4 * q, count);
}

template <class Step>
void for_quads(const Step& step, std::int64_t count, cudaStream_t stream, const char* what) {
  const ElementwisePlan plan = plan_elementwise(count);
  if (plan.blocks == 0) return;
  quads_kernel<<<plan.blocks, kThreads, 0, stream>>>(step, count);
  check_launch(what);
}

/// Calls step(i) for 0 <= i < count.
template <class Step>
__global__ void __launch_bounds__(kThreads) indices_kernel(Step step, std::int64_t count) {
  const std::int64_t stride = static_cast<std::int64_t>(gridDim.x) * kThreads;
  for (std::int64_t i = static_cast<std::int64_t>(blockIdx.x) * kThreads + threadIdx.x; i < count; i += stride) step(i);
}

template <class Step>
void for_indices(const Step& step, std::int64_t count, cudaStream_t stream, const char* what) {
  if (count <= 0) return;
  indices_kernel<<<static_cast<unsigned>(std::min(kMaxBlocks, divide_up(count, kThreads))), kThreads, 0, stream>>>(step, count);
  check_launch(what);
}

}  // namespace panther::cuda
