#include "kernels/check_arguments.h"
#include "kernels/cuda/device.cuh"
#include "kernels/cuda/entries.h"

namespace panther::cuda {
namespace {

constexpr int kMaxSources = 64;

struct Sources {
  const void* data[kMaxSources];
  int count;
};

template <class T>
__device__ Accumulator<T> add(Accumulator<T> sum, T next) {
  // Integers wrap around, as on the CPU.
  if constexpr (std::is_integral_v<T>) return static_cast<std::int64_t>(static_cast<std::uint64_t>(sum) + static_cast<std::uint64_t>(static_cast<std::int64_t>(next)));
  else return sum + convert<Accumulator<T>>(next);
}

template <class T>
__device__ T round_sum(Accumulator<T> sum) {
  if constexpr (std::is_integral_v<T>) return static_cast<T>(sum);
  else return convert<T>(sum);
}

template <class T>
__global__ void sum_kernel(Sources sources, T* destination, std::int64_t count) {
  const std::int64_t step = static_cast<std::int64_t>(gridDim.x) * blockDim.x;
  for (std::int64_t i = static_cast<std::int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < count; i += step) {
    Accumulator<T> sum = convert<Accumulator<T>>(static_cast<const T*>(sources.data[0])[i]);
    for (int s = 1; s < sources.count; ++s) sum = add<T>(sum, static_cast<const T*>(sources.data[s])[i]);
    destination[i] = round_sum<T>(sum);
  }
}

template <class T>
__global__ void sum_pack_kernel(Sources sources, Pack<T>* destination, std::int64_t packs) {
  const std::int64_t step = static_cast<std::int64_t>(gridDim.x) * blockDim.x;
  for (std::int64_t i = static_cast<std::int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < packs; i += step) {
    Accumulator<T> sum[Pack<T>::kSize];
    const Pack<T> head = static_cast<const Pack<T>*>(sources.data[0])[i];
#pragma unroll
    for (int j = 0; j < Pack<T>::kSize; ++j) sum[j] = convert<Accumulator<T>>(head.item[j]);
    for (int s = 1; s < sources.count; ++s) {
      const Pack<T> next = static_cast<const Pack<T>*>(sources.data[s])[i];
#pragma unroll
      for (int j = 0; j < Pack<T>::kSize; ++j) sum[j] = add<T>(sum[j], next.item[j]);
    }
    Pack<T> out;
#pragma unroll
    for (int j = 0; j < Pack<T>::kSize; ++j) out.item[j] = round_sum<T>(sum[j]);
    destination[i] = out;
  }
}

template <class T>
__global__ void scale_kernel(Accumulator<T> factor, T* values, std::int64_t count) {
  const std::int64_t step = static_cast<std::int64_t>(gridDim.x) * blockDim.x;
  for (std::int64_t i = static_cast<std::int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < count; i += step) {
    values[i] = convert<T>(factor * convert<Accumulator<T>>(values[i]));
  }
}

template <class T>
void sum_all(const Sources& sources, const TensorView& destination, cudaStream_t stream) {
  const std::int64_t count = destination.numel();
  bool aligned = aligned16(destination.data);
  for (int s = 0; s < sources.count; ++s) aligned = aligned && aligned16(sources.data[s]);
  const std::int64_t packs = aligned ? count / Pack<T>::kSize : 0, rest = count - packs * Pack<T>::kSize;
  if (packs > 0) {
    const ElementwisePlan plan = plan_elementwise(count);
    sum_pack_kernel<T><<<plan.blocks, plan.threads, 0, stream>>>(sources, static_cast<Pack<T>*>(destination.data), packs);
    check_launch("packed_sum");
  }
  if (rest > 0) {
    Sources tail = sources;
    for (int s = 0; s < sources.count; ++s) tail.data[s] = static_cast<const T*>(sources.data[s]) + packs * Pack<T>::kSize;
    const ElementwisePlan plan = plan_elementwise(rest);
    sum_kernel<T><<<plan.blocks, plan.threads, 0, stream>>>(tail, destination.as<T>() + packs * Pack<T>::kSize, rest);
    check_launch("packed_sum");
  }
}

}  // namespace

void packed_sum(std::span<const TensorView> sources, const TensorView& destination, Stream stream) {
  check::packed_sum(sources, destination);
  const DeviceScope scope(destination.device.index);
  Sources pointers{};
  for (const TensorView& source : sources) pointers.data[pointers.count++] = source.data;
  with_any(destination.dtype, [&](auto tag) { sum_all<typename decltype(tag)::type>(pointers, destination, native(stream)); });
}

void scale(double factor, const TensorView& destination, Stream stream) {
  check::scale(destination);
  const std::int64_t count = destination.numel();
  if (count == 0) return;
  const DeviceScope scope(destination.device.index);
  const ElementwisePlan plan = plan_elementwise(count);
  with_floating(destination.dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    scale_kernel<T><<<plan.blocks, plan.threads, 0, native(stream)>>>(static_cast<Accumulator<T>>(factor), destination.as<T>(), count);
  });
  check_launch("scale");
}

}  // namespace panther::cuda
