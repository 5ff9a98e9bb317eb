// Sums over all of a gradient that steer a codec: is it finite, how large is it.
#include "kernels/pack/cuda/entries.h"
#include "kernels/pack/cuda/quads.cuh"

namespace panther::cuda {
namespace {

struct Watch {
  const float* values;
  float* alarm;
  bool aligned;
  __device__ void operator()(std::int64_t first, std::int64_t count) const {
    raise_alarm(alarm, largest_magnitude(load_quad(values, first, count, aligned)));
  }
};

/// One partial sum a block; quads go around the blocks in turns, so the order depends on the size alone.
__global__ void __launch_bounds__(kThreads) energy_kernel(Sum v, std::int64_t count, double* partial) {
  __shared__ double scratch[kThreads];
  const std::int64_t quads = (count + 3) / 4, stride = static_cast<std::int64_t>(gridDim.x) * kThreads;
  double sum = 0;
#pragma unroll 4
  for (std::int64_t q = static_cast<std::int64_t>(blockIdx.x) * kThreads + threadIdx.x; q < quads; q += stride) {
    const Quad gradient = load_quad(v.gradient, 4 * q, count, v.aligned);
    Quad residual{};
    if (v.residual != nullptr) residual = load_quad(v.residual, 4 * q, count, v.aligned);
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const double value = static_cast<double>(gradient.at[i]) + static_cast<double>(residual.at[i]);
      sum += value * value;
    }
  }
  const double total = block_sum(sum, scratch);
  if (threadIdx.x == 0) partial[blockIdx.x] = total;
}

__global__ void __launch_bounds__(kThreads) add_partials_kernel(const double* partial, double* sum) {
  __shared__ double scratch[kThreads];
  double value = 0;
  for (int i = static_cast<int>(threadIdx.x); i < kEnergyScratch; i += kThreads) value += partial[i];
  const double total = block_sum(value, scratch);
  if (threadIdx.x == 0) *sum += total;
}

__global__ void __launch_bounds__(kThreads) limit_kernel(float* values, std::int64_t count, const double* energy, const double* reference, double bound,
                                                         bool aligned) {
  const double allowed = bound * sqrt(*reference), norm = sqrt(*energy);
  if (*reference == 0 || !(norm > allowed)) return;
  const auto factor = static_cast<float>(allowed / norm);
  const std::int64_t quads = (count + 3) / 4, stride = static_cast<std::int64_t>(gridDim.x) * kThreads;
  for (std::int64_t q = static_cast<std::int64_t>(blockIdx.x) * kThreads + threadIdx.x; q < quads; q += stride) {
    Quad v = load_quad(values, 4 * q, count, aligned);
#pragma unroll
    for (int i = 0; i < 4; ++i) v.at[i] *= factor;
    store_quad(values, 4 * q, count, aligned, v);
  }
}

}  // namespace

void watch(const float* values, std::int64_t count, float* alarm, Stream stream) {
  for_quads(Watch{values, alarm, aligned16(values)}, count, native(stream), "watch");
}

void watch_scales(const std::byte* packed, std::int64_t blocks, float* alarm, Stream stream) {
  watch(reinterpret_cast<const float*>(packed), blocks, alarm, stream);
}

void add_energy(const float* gradient, const float* residual, std::int64_t count, double* sum, double* scratch, Stream stream) {
  if (count == 0) return;
  energy_kernel<<<static_cast<unsigned>(kEnergyScratch), kThreads, 0, native(stream)>>>({gradient, residual}, count, scratch);
  check_launch("add_energy");
  add_partials_kernel<<<1, kThreads, 0, native(stream)>>>(scratch, sum);
  check_launch("add_energy");
}

void limit_energy(float* values, std::int64_t count, const double* energy, const double* reference, double bound, Stream stream) {
  const ElementwisePlan plan = plan_elementwise(count);
  if (plan.blocks == 0) return;
  limit_kernel<<<plan.blocks, kThreads, 0, native(stream)>>>(values, count, energy, reference, bound, aligned16(values));
  check_launch("limit_energy");
}

}  // namespace panther::cuda
