// Many tensors per launch, their descriptors by value. Compiled without contraction to fused multiply-add, so that the
// result has the CPU's bits.
#include "kernels/check_arguments.h"
#include "kernels/cuda/device.cuh"
#include "kernels/cuda/entries.h"
#include "kernels/element/optimizer.h"

namespace panther::cuda {
namespace {

template <class T>
struct Slot {
  T* parameter;
  const T* gradient;
  T* first;
  T* second;
  std::int64_t size;
  T decay;
  T rate;  ///< AdamW's step size, SGD's lr
};

template <class T>
struct Batch {
  ChunkMap map;
  Slot<T> slot[kTensorsPerLaunch];
};
static_assert(sizeof(Batch<double>) <= 3072, "kernel parameters are limited to 4 KiB");

template <class T>
struct AdamWUpdate {
  AdamWFactors<T> factors;
  static constexpr int kMoments = 2;
  __device__ void prepare(const Slot<T>& slot) { factors.decay = slot.decay, factors.step_size = slot.rate; }
  __device__ void apply(T& parameter, T gradient, T& first, T& second) const { adamw_element(factors, parameter, gradient, first, second); }
};

template <class T>
struct SgdUpdate {
  SgdFactors<T> factors;
  static constexpr int kMoments = 0;
  __device__ void prepare(const Slot<T>& slot) { factors.decay = slot.decay, factors.lr = slot.rate; }
  __device__ void apply(T& parameter, T gradient, T&, T&) const { sgd_element(factors, parameter, gradient); }
};

template <class T>
struct SgdMomentumUpdate {
  SgdFactors<T> factors;
  static constexpr int kMoments = 1;
  __device__ void prepare(const Slot<T>& slot) { factors.decay = slot.decay, factors.lr = slot.rate; }
  __device__ void apply(T& parameter, T gradient, T& first, T&) const { sgd_momentum_element(factors, parameter, gradient, first); }
};

/// One chunk in packs of 16 bytes; all pointers aligned, `packs` of them.
template <class T, class Update>
__device__ void update_packs(const Update& update, T* parameter, const T* gradient, T* first, T* second, std::int64_t packs) {
  for (std::int64_t i = threadIdx.x; i < packs; i += kThreads) {
    Pack<T> p = reinterpret_cast<Pack<T>*>(parameter)[i], m{}, v{};
    const Pack<T> g = reinterpret_cast<const Pack<T>*>(gradient)[i];
    if constexpr (Update::kMoments > 0) m = reinterpret_cast<Pack<T>*>(first)[i];
    if constexpr (Update::kMoments > 1) v = reinterpret_cast<Pack<T>*>(second)[i];
#pragma unroll
    for (int j = 0; j < Pack<T>::kSize; ++j) update.apply(p.item[j], g.item[j], m.item[j], v.item[j]);
    reinterpret_cast<Pack<T>*>(parameter)[i] = p;
    if constexpr (Update::kMoments > 0) reinterpret_cast<Pack<T>*>(first)[i] = m;
    if constexpr (Update::kMoments > 1) reinterpret_cast<Pack<T>*>(second)[i] = v;
  }
}

template <class T, class Update>
__device__ void update_singles(const Update& update, T* parameter, const T* gradient, T* first, T* second, std::int64_t begin, std::int64_t end) {
  for (std::int64_t i = begin + threadIdx.x; i < end; i += kThreads) {
    T m{}, v{};
    if constexpr (Update::kMoments > 0) m = first[i];
    if constexpr (Update::kMoments > 1) v = second[i];
    update.apply(parameter[i], gradient[i], m, v);
    if constexpr (Update::kMoments > 0) first[i] = m;
    if constexpr (Update::kMoments > 1) second[i] = v;
  }
}

template <class T, class Update>
__global__ void update_kernel(Batch<T> batch, Update update) {
  int tensor = 0;
  for (std::int64_t chunk = blockIdx.x; chunk < batch.map.chunks; chunk += gridDim.x) {
    tensor = batch.map.tensor_of(chunk, tensor);
    const Slot<T>& slot = batch.slot[tensor];
    update.prepare(slot);
    const std::int64_t begin = (chunk - batch.map.chunk_begin[tensor]) * kChunk;
    const std::int64_t length = slot.size - begin < kChunk ? slot.size - begin : kChunk;
    T* parameter = slot.parameter + begin;
    const T* gradient = slot.gradient + begin;
    T* first = Update::kMoments > 0 ? slot.first + begin : nullptr;
    T* second = Update::kMoments > 1 ? slot.second + begin : nullptr;
    const bool aligned = aligned16(parameter) && aligned16(gradient) && aligned16(first) && aligned16(second);
    const std::int64_t packs = aligned ? length / Pack<T>::kSize : 0;
    update_packs(update, parameter, gradient, first, second, packs);
    update_singles(update, parameter, gradient, first, second, packs * Pack<T>::kSize, length);
  }
}

/// Launches over every tensor of type T; `fill(slot, tensor)` sets its decay and rate.
template <class T, class Update, class Fill>
void launch(std::span<const OptimizerTensor> tensors, DType dtype, const Update& update, Stream stream, const Fill& fill) {
  Batch<T> batch{};
  const auto flush = [&] {
    if (batch.map.chunks > 0) {
      update_kernel<T, Update><<<static_cast<unsigned>(std::min(kMaxBlocks, batch.map.chunks)), kThreads, 0, native(stream)>>>(batch, update);
      check_launch("optimizer");
    }
    batch = {};
  };
  for (const OptimizerTensor& tensor : tensors) {
    if (tensor.parameter.dtype != dtype || tensor.parameter.numel() == 0) continue;
    Slot<T>& slot = batch.slot[batch.map.add(tensor.parameter.numel())];
    slot = {tensor.parameter.as<T>(), tensor.gradient.as<const T>(), tensor.first_moment.as<T>(), tensor.second_moment.as<T>(), tensor.parameter.numel(), {}, {}};
    fill(slot, tensor);
    if (batch.map.full()) flush();
  }
  flush();
}

template <class T>
void adamw_all(std::span<const OptimizerTensor> tensors, DType dtype, const AdamWStep& step, Stream stream) {
  launch<T>(tensors, dtype, AdamWUpdate<T>{adamw_factors<T>(step, 0, 0)}, stream, [&](Slot<T>& slot, const OptimizerTensor& tensor) {
    const AdamWFactors<T> own = adamw_factors<T>(step, tensor.lr, tensor.weight_decay);
    slot.decay = own.decay;
    slot.rate = own.step_size;
  });
}

template <class T>
void sgd_all(std::span<const OptimizerTensor> tensors, DType dtype, const SgdStep& step, Stream stream) {
  const SgdFactors<T> factors = sgd_factors<T>(step, 0, 0);
  const auto fill = [&](Slot<T>& slot, const OptimizerTensor& tensor) {
    const SgdFactors<T> own = sgd_factors<T>(step, tensor.lr, tensor.weight_decay);
    slot.decay = own.decay;
    slot.rate = own.lr;
  };
  if (step.momentum == 0) return launch<T>(tensors, dtype, SgdUpdate<T>{factors}, stream, fill);
  launch<T>(tensors, dtype, SgdMomentumUpdate<T>{factors}, stream, fill);
}

}  // namespace

void adamw(std::span<const OptimizerTensor> tensors, const AdamWStep& step, Stream stream) {
  check::optimizer("adamw", tensors, 2);
  if (tensors.empty()) return;
  const DeviceScope scope(tensors[0].parameter.device.index);
  adamw_all<float>(tensors, DType::f32, step, stream);
  adamw_all<double>(tensors, DType::f64, step, stream);
}

void sgd(std::span<const OptimizerTensor> tensors, const SgdStep& step, Stream stream) {
  check::optimizer("sgd", tensors, step.momentum == 0 ? 0 : 1);
  if (tensors.empty()) return;
  const DeviceScope scope(tensors[0].parameter.device.index);
  sgd_all<float>(tensors, DType::f32, step, stream);
  sgd_all<double>(tensors, DType::f64, step, stream);
}

}  // namespace panther::cuda
