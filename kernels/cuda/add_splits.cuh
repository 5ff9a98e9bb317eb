#pragma once
// The end of products whose depth was split over blocks or panels.
#include "kernels/cuda/device.cuh"

namespace panther::cuda {

/// out[i, j] = alpha (sum over splits of sums[split][i][j], in their order) + beta out[i, j].
template <class Sum, class Out>
__global__ void add_splits(const Sum* sums, int splits, std::int64_t far, std::int64_t near, Sum alpha, Sum beta, Out* out, std::int64_t far_stride,
                           std::int64_t near_stride) {
  const std::int64_t cells = far * near;
  for (std::int64_t i = static_cast<std::int64_t>(blockIdx.x) * kThreads + threadIdx.x; i < cells; i += static_cast<std::int64_t>(gridDim.x) * kThreads) {
    Sum sum = 0;
    for (int s = 0; s < splits; ++s) sum += sums[s * cells + i];
    Out& cell = out[i / near * far_stride + i % near * near_stride];
    const Sum old = beta == 0 ? Sum{0} : beta * convert<Sum>(cell);
    cell = convert<Out>(alpha * sum + old);
  }
}

}  // namespace panther::cuda
