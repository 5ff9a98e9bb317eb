#pragma once
// The end of products whose depth was split over blocks.
#include "kernels/cuda/device.cuh"

namespace panther::cuda {

/// out[i, j] = alpha (sum over splits of sums[split][i][j], in their order) + beta out[i, j].
template <class Out>
__global__ void add_splits(const float* sums, int splits, std::int64_t far, std::int64_t near, float alpha, float beta, Out* out, std::int64_t far_stride,
                           std::int64_t near_stride) {
  const std::int64_t cells = far * near;
  for (std::int64_t i = static_cast<std::int64_t>(blockIdx.x) * kThreads + threadIdx.x; i < cells; i += static_cast<std::int64_t>(gridDim.x) * kThreads) {
    float sum = 0;
    for (int s = 0; s < splits; ++s) sum += sums[s * cells + i];
    Out& cell = out[i / near * far_stride + i % near * near_stride];
    const float old = beta == 0 ? 0.0f : beta * convert<float>(cell);
    cell = convert<Out>(alpha * sum + old);
  }
}

}  // namespace panther::cuda
