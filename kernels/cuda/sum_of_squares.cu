// Two stages: a fixed number of blocks adds up its share of the chunks in f64, then one block adds those sums. The order of
// additions depends on the tensors' sizes alone.
#include <array>
#include <mutex>

#include "core/error.h"
#include "kernels/check_arguments.h"
#include "kernels/cuda/device.cuh"
#include "kernels/cuda/entries.h"

namespace panther::cuda {
namespace {

/// Partial sums live in static device memory because kernels allocate nothing; calls on different streams may overlap, so
/// each stream has a slot of its own.
constexpr int kSlots = 128;
__device__ double partial_sums[kSlots][kReduceBlocks];

struct Batch {
  ChunkMap map;
  std::int64_t size[kTensorsPerLaunch];
  const void* data[kTensorsPerLaunch];
};
static_assert(sizeof(Batch) <= 3072, "kernel parameters are limited to 4 KiB");

struct Strides {
  int dims;
  std::int64_t shape[TensorView::kMaxDims];
  std::int64_t stride[TensorView::kMaxDims];
};

__device__ void keep_partial(int slot, bool first, double sum) {
  __shared__ double scratch[kThreads];
  const double total = block_sum(sum, scratch);
  if (threadIdx.x == 0) partial_sums[slot][blockIdx.x] = first ? total : partial_sums[slot][blockIdx.x] + total;
}

template <class T>
__global__ void batch_kernel(Batch batch, int slot, bool first) {
  double sum = 0;
  int tensor = 0;
  for (std::int64_t chunk = blockIdx.x; chunk < batch.map.chunks; chunk += gridDim.x) {
    tensor = batch.map.tensor_of(chunk, tensor);
    const std::int64_t begin = (chunk - batch.map.chunk_begin[tensor]) * kChunk;
    const T* data = static_cast<const T*>(batch.data[tensor]) + begin;
    const std::int64_t length = batch.size[tensor] - begin < kChunk ? batch.size[tensor] - begin : kChunk;
#pragma unroll 4
    for (std::int64_t i = threadIdx.x; i < length; i += kThreads) {
      const double value = convert<double>(data[i]);
      sum += value * value;
    }
  }
  keep_partial(slot, first, sum);
}

template <class T>
__global__ void strided_kernel(const T* data, Strides strides, std::int64_t count, int slot, bool first) {
  double sum = 0;
  const std::int64_t step = static_cast<std::int64_t>(gridDim.x) * kThreads;
  for (std::int64_t i = static_cast<std::int64_t>(blockIdx.x) * kThreads + threadIdx.x; i < count; i += step) {
    std::int64_t rest = i, at = 0;
    for (int d = strides.dims - 1; d >= 0; --d) {
      at += rest % strides.shape[d] * strides.stride[d];
      rest /= strides.shape[d];
    }
    const double value = convert<double>(data[at]);
    sum += value * value;
  }
  keep_partial(slot, first, sum);
}

__global__ void final_kernel(int slot, double* sum) {
  __shared__ double scratch[kThreads];
  double value = 0;
  for (int i = static_cast<int>(threadIdx.x); i < kReduceBlocks; i += kThreads) value += partial_sums[slot][i];
  const double total = block_sum(value, scratch);
  if (threadIdx.x == 0) *sum = total;
}

__global__ void zero_kernel(double* sum) { *sum = 0; }

/// The slot of a stream on a device. When all are taken by streams seen earlier, the device is drained once and the table
/// starts anew: correct, and rare.
int slot_of(int device, cudaStream_t stream) {
  constexpr int kDevices = 64;
  static std::mutex mutex;
  static std::array<std::array<cudaStream_t, kSlots>, kDevices> streams{};
  static std::array<int, kDevices> used{};
  PANTHER_REQUIRE(device >= 0 && device < kDevices, "sum_of_squares: device ", device, " is beyond ", kDevices);
  const std::lock_guard lock(mutex);
  auto& table = streams[static_cast<std::size_t>(device)];
  int& count = used[static_cast<std::size_t>(device)];
  for (int slot = 0; slot < count; ++slot) {
    if (table[static_cast<std::size_t>(slot)] == stream) return slot;
  }
  if (count == kSlots) {
    check_status(cudaDeviceSynchronize(), "cudaDeviceSynchronize");
    count = 0;
  }
  table[static_cast<std::size_t>(count)] = stream;
  return count++;
}

/// Adds every contiguous tensor of one dtype; returns whether anything was launched.
template <class T>
bool add_contiguous(std::span<const TensorView> tensors, DType dtype, int slot, bool first, cudaStream_t stream) {
  Batch batch{};
  bool launched = false;
  const auto flush = [&] {
    if (batch.map.chunks > 0) {
      batch_kernel<T><<<kReduceBlocks, kThreads, 0, stream>>>(batch, slot, first && !launched);
      check_launch("sum_of_squares");
      launched = true;
    }
    batch = {};
  };
  for (const TensorView& tensor : tensors) {
    if (tensor.dtype != dtype || tensor.numel() == 0 || !tensor.is_contiguous()) continue;
    const int place = batch.map.add(tensor.numel());
    batch.size[place] = tensor.numel();
    batch.data[place] = tensor.data;
    if (batch.map.full()) flush();
  }
  flush();
  return launched;
}

template <class T>
void add_strided(const TensorView& tensor, int slot, bool first, cudaStream_t stream) {
  Strides strides{};
  strides.dims = tensor.dims;
  for (int d = 0; d < tensor.dims; ++d) {
    strides.shape[d] = tensor.shape[static_cast<std::size_t>(d)];
    strides.stride[d] = tensor.strides[static_cast<std::size_t>(d)];
  }
  strided_kernel<T><<<kReduceBlocks, kThreads, 0, stream>>>(tensor.as<const T>(), strides, tensor.numel(), slot, first);
  check_launch("sum_of_squares");
}

}  // namespace

void sum_of_squares(std::span<const TensorView> tensors, const TensorView& sum_f64, Stream stream) {
  check::sum_of_squares(tensors, sum_f64);
  const DeviceScope scope(sum_f64.device.index);
  const int slot = slot_of(sum_f64.device.index, native(stream));
  bool first = true;
  for (const DType dtype : {DType::f64, DType::f32, DType::bf16, DType::f16}) {
    with_floating(dtype, [&](auto tag) {
      using T = typename decltype(tag)::type;
      if (add_contiguous<T>(tensors, dtype, slot, first, native(stream))) first = false;
      for (const TensorView& tensor : tensors) {
        if (tensor.dtype != dtype || tensor.numel() == 0 || tensor.is_contiguous()) continue;
        add_strided<T>(tensor, slot, first, native(stream));
        first = false;
      }
    });
  }
  if (first) {
    zero_kernel<<<1, 1, 0, native(stream)>>>(sum_f64.as<double>());
  } else {
    final_kernel<<<1, kThreads, 0, native(stream)>>>(slot, sum_f64.as<double>());
  }
  check_launch("sum_of_squares");
}

}  // namespace panther::cuda
