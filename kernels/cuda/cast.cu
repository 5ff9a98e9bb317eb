#include "kernels/check_arguments.h"
#include "kernels/cuda/device.cuh"
#include "kernels/cuda/entries.h"
#include "kernels/strided_pair.h"

namespace panther::cuda {
namespace {

/// Eight elements per thread and turn, so that 16-bit sides move 16 bytes.
constexpr int kPerThread = 8;

template <class T>
struct alignas(sizeof(T) * kPerThread > 16 ? 16 : sizeof(T) * kPerThread) Run {
  T item[kPerThread];
};

template <class S, class D>
__global__ void contiguous_kernel(const Run<S>* source, Run<D>* destination, std::int64_t runs) {
  const std::int64_t step = static_cast<std::int64_t>(gridDim.x) * blockDim.x;
  for (std::int64_t i = static_cast<std::int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < runs; i += step) {
    const Run<S> from = source[i];
    Run<D> to;
#pragma unroll
    for (int j = 0; j < kPerThread; ++j) to.item[j] = convert<D>(from.item[j]);
    destination[i] = to;
  }
}

template <class S>
__device__ void write_as(DType dtype, void* destination, std::int64_t at, S value) {
  switch (dtype) {
    case DType::f64: static_cast<double*>(destination)[at] = convert<double>(value); return;
    case DType::f32: static_cast<float*>(destination)[at] = convert<float>(value); return;
    case DType::bf16: static_cast<Bf16*>(destination)[at] = convert<Bf16>(value); return;
    case DType::f16: static_cast<F16*>(destination)[at] = convert<F16>(value); return;
    case DType::i64: static_cast<std::int64_t*>(destination)[at] = convert<std::int64_t>(value); return;
    case DType::i32: static_cast<std::int32_t*>(destination)[at] = convert<std::int32_t>(value); return;
    case DType::u8: static_cast<std::uint8_t*>(destination)[at] = convert<std::uint8_t>(value); return;
  }
}

/// Any strides; the destination's type is chosen at run time, which memory traffic hides.
template <class S>
__global__ void strided_kernel(const S* source, void* destination, DType dtype, StridedPair pair, std::int64_t count) {
  const std::int64_t step = static_cast<std::int64_t>(gridDim.x) * blockDim.x;
  for (std::int64_t i = static_cast<std::int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < count; i += step) {
    std::int64_t rest = i, from = 0, to = 0;
    for (int d = pair.dims - 1; d >= 0; --d) {
      const std::int64_t index = rest % pair.shape[d];
      rest /= pair.shape[d];
      from += index * pair.first[d];
      to += index * pair.second[d];
    }
    write_as(dtype, destination, to, source[from]);
  }
}

template <class S, class D>
void cast_contiguous(const TensorView& source, const TensorView& destination, std::int64_t runs, cudaStream_t stream) {
  const ElementwisePlan plan = plan_elementwise(runs * kPerThread);
  contiguous_kernel<S, D><<<plan.blocks, plan.threads, 0, stream>>>(static_cast<const Run<S>*>(source.data), static_cast<Run<D>*>(destination.data), runs);
  check_launch("cast");
}

/// The pairs that training converts in bulk have a kernel of their own; returns how many leading elements it did.
std::int64_t fast_prefix(const TensorView& source, const TensorView& destination, const StridedPair& pair, cudaStream_t stream) {
  const bool contiguous = pair.dims == 0 || (pair.dims == 1 && pair.first[0] == 1 && pair.second[0] == 1);
  const std::int64_t runs = source.numel() / kPerThread;
  if (!contiguous || runs == 0 || !aligned16(source.data) || !aligned16(destination.data)) return 0;
  if (!is_floating(source.dtype) || !is_floating(destination.dtype)) return 0;
  with_floating(source.dtype, [&](auto from) {
    with_floating(destination.dtype, [&](auto to) {
      cast_contiguous<typename decltype(from)::type, typename decltype(to)::type>(source, destination, runs, stream);
    });
  });
  return runs * kPerThread;
}

}  // namespace

void cast(const TensorView& source, const TensorView& destination, Stream stream) {
  check::cast(source, destination);
  const std::int64_t count = source.numel();
  if (count == 0) return;
  const DeviceScope scope(destination.device.index);
  StridedPair pair = merge_dims(source, destination);
  const std::int64_t done = fast_prefix(source, destination, pair, native(stream));
  if (done == count) return;
  if (pair.dims == 1) pair.shape[0] -= done;
  const ElementwisePlan plan = plan_elementwise(count - done);
  char* target = static_cast<char*>(destination.data) + done * static_cast<std::int64_t>(size_of(destination.dtype));
  with_any(source.dtype, [&](auto tag) {
    using S = typename decltype(tag)::type;
    strided_kernel<S><<<plan.blocks, plan.threads, 0, native(stream)>>>(source.as<const S>() + done, target, destination.dtype, pair, count - done);
  });
  check_launch("cast");
}

}  // namespace panther::cuda
