// y = epilogue(alpha (x P) Q) in one launch for small batches: H never leaves the device's caches, signs are expanded from 32 to a word.
#include "kernels/cuda/fused_linear.h"
#include "kernels/cuda/fused_linear_plan.h"
#include "kernels/cuda/device_rows.cuh"

namespace panther::cuda {
namespace {

constexpr int kParts = kThreads / static_cast<int>(kFusedOutputs);  // threads that share a column of Y
constexpr int kRowsAtOnce = 8;

template <class T>
struct Matrix {
  T* data;
  std::int64_t row_stride, column_stride;
  __device__ T& at(std::int64_t i, std::int64_t j) const { return data[i * row_stride + j * column_stride]; }
};

template <class T>
Matrix<T> matrix_of(const TensorView& view) {
  return {view.as<T>(), view.strides[0], view.strides[1]};
}

template <class T>
struct Fused {
  std::int64_t rows, inputs, outputs, inner;
  Matrix<T> x, h, y, aux;
  const T* bias;
  std::int64_t bias_stride;
  DeviceRows<T> p, q;
  Accumulator<T> alpha;
  Activation activation;
  unsigned* arrived;         // two counters, zero before the launch
  Accumulator<T>* partial;   // [blocks][rows][inner]
  Accumulator<T>* sum;       // [rows][inner]
};

/// All blocks are resident (a cooperative launch), so waiting ends.
__device__ void wait_for_all(unsigned* arrived) {
  __syncthreads();
  if (threadIdx.x == 0) {
    __threadfence();
    atomicAdd(arrived, 1u);
    while (*static_cast<volatile unsigned*>(arrived) < gridDim.x) {
    }
    __threadfence();
  }
  __syncthreads();
}

template <class T>
__device__ void load_words(const DeviceRows<T>& rows, std::int64_t block, std::uint32_t* words) {
  for (std::int64_t n = threadIdx.x; n < rows.rows; n += kThreads) {
    if (rows.is_stored(n)) continue;
    const PhiloxBlock four = rows.words(n, block);
    for (int w = 0; w < 4; ++w) words[n * 4 + w] = four.word[w];
  }
}

template <class T>
__device__ Accumulator<T> value_of(const DeviceRows<T>& rows, const std::uint32_t* words, std::int64_t n, std::int64_t element) {
  if (rows.is_stored(n)) return rows.stored(n, element);
  const int bit = static_cast<int>(element % 128);
  return (words[n * 4 + bit / 32] >> (bit % 32)) & 1u ? Accumulator<T>{-1} : Accumulator<T>{1};
}

/// This block's slices of X P, a warp to a row of the factor, lanes along the slice.
template <class T>
__device__ void sum_slices(const Fused<T>& f, Accumulator<T>* x_slice, std::uint32_t* words) {
  using Sum = Accumulator<T>;
  const int warp = static_cast<int>(threadIdx.x) / kWarp, lane = static_cast<int>(threadIdx.x) % kWarp;
  Sum* const mine = f.partial + static_cast<std::int64_t>(blockIdx.x) * f.rows * f.inner;
  for (std::int64_t i = threadIdx.x; i < f.rows * f.inner; i += kThreads) mine[i] = Sum{0};
  const std::int64_t slices = (f.inputs + kFusedInputs - 1) / kFusedInputs;
  for (std::int64_t slice = blockIdx.x; slice < slices; slice += gridDim.x) {
    const std::int64_t first = slice * kFusedInputs;
    __syncthreads();
    load_words(f.p, slice, words);
    for (std::int64_t i = threadIdx.x; i < f.rows * kFusedInputs; i += kThreads) {
      const std::int64_t b = i / kFusedInputs, e = first + i % kFusedInputs;
      x_slice[i] = e < f.inputs ? convert<Sum>(f.x.at(b, e)) : Sum{0};
    }
    __syncthreads();
    for (std::int64_t n = warp; n < f.inner; n += kWarps) {
      Sum factor[kFusedInputs / kWarp];
      for (int i = 0; i < kFusedInputs / kWarp; ++i) {
        const std::int64_t e = first + lane + kWarp * i;
        factor[i] = e < f.inputs ? value_of(f.p, words, n, e) : Sum{0};
      }
      for (std::int64_t b = 0; b < f.rows; ++b) {
        Sum sum{0};
        for (int i = 0; i < kFusedInputs / kWarp; ++i) sum += factor[i] * x_slice[b * kFusedInputs + lane + kWarp * i];
        for (int width = kWarp / 2; width > 0; width /= 2) sum += __shfl_down_sync(0xffffffffu, sum, static_cast<unsigned>(width));
        if (lane == 0) mine[b * f.inner + n] += sum;
      }
    }
  }
}

/// H = the partial sums in block order; each block does a share, rounds it as the stored H and keeps it for backward.
template <class T>
__device__ void add_partials(const Fused<T>& f) {
  using Sum = Accumulator<T>;
  const std::int64_t count = f.rows * f.inner;
  for (std::int64_t i = static_cast<std::int64_t>(blockIdx.x) * kThreads + threadIdx.x; i < count; i += static_cast<std::int64_t>(gridDim.x) * kThreads) {
    Sum sum{0};
    for (unsigned block = 0; block < gridDim.x; ++block) sum += f.partial[block * count + i];
    const T rounded = convert<T>(sum);
    f.h.at(i / f.inner, i % f.inner) = rounded;
    f.sum[i] = convert<Sum>(rounded);
  }
}

template <class T>
__device__ void write(const Fused<T>& f, std::int64_t b, std::int64_t column, Accumulator<T> sum) {
  Accumulator<T> z = f.alpha * sum;
  if (f.bias != nullptr) z += convert<Accumulator<T>>(f.bias[column * f.bias_stride]);
  if (f.aux.data != nullptr) f.aux.at(b, column) = convert<T>(z);
  f.y.at(b, column) = convert<T>(activate(f.activation, z));
}

/// 64 columns at a time; the four threads of a column share the sum over H's columns and add up in order.
template <class T>
__device__ void make_outputs(const Fused<T>& f, const Accumulator<T>* h, std::uint32_t* words, Accumulator<T> (*parts)[kFusedOutputs]) {
  using Sum = Accumulator<T>;
  const int lane = static_cast<int>(threadIdx.x) % static_cast<int>(kFusedOutputs), part = static_cast<int>(threadIdx.x) / static_cast<int>(kFusedOutputs);
  const std::int64_t tiles = (f.outputs + kFusedOutputs - 1) / kFusedOutputs;
  for (std::int64_t tile = blockIdx.x; tile < tiles; tile += gridDim.x) {
    const std::int64_t column = tile * kFusedOutputs + lane;
    __syncthreads();
    load_words(f.q, tile * kFusedOutputs / 128, words);
    __syncthreads();
    for (std::int64_t first = 0; first < f.rows; first += kRowsAtOnce) {
      Sum sum[kRowsAtOnce] = {};
      for (std::int64_t n = part; n < f.inner && column < f.outputs; n += kParts) {
        const Sum factor = value_of(f.q, words, n, column);
        for (int i = 0; i < kRowsAtOnce; ++i) sum[i] += factor * (first + i < f.rows ? h[(first + i) * f.inner + n] : Sum{0});
      }
      for (int i = 0; i < kRowsAtOnce; ++i) {
        parts[part][lane] = sum[i];
        __syncthreads();
        if (part == 0 && column < f.outputs && first + i < f.rows) {
          Sum total = parts[0][lane];
          for (int k = 1; k < kParts; ++k) total += parts[k][lane];
          write(f, first + i, column, total);
        }
        __syncthreads();
      }
    }
  }
}

template <class T>
__global__ void __launch_bounds__(kThreads) fused_kernel(Fused<T> f) {
  extern __shared__ __align__(16) unsigned char shared[];
  __shared__ Accumulator<T> parts[kParts][kFusedOutputs];
  const std::int64_t values = f.rows * (f.inner > kFusedInputs ? f.inner : kFusedInputs);
  auto* const numbers = reinterpret_cast<Accumulator<T>*>(shared);
  auto* const words = reinterpret_cast<std::uint32_t*>(numbers + values);
  sum_slices(f, numbers, words);
  wait_for_all(f.arrived);
  add_partials(f);
  wait_for_all(f.arrived + 1);
  for (std::int64_t i = threadIdx.x; i < f.rows * f.inner; i += kThreads) numbers[i] = f.sum[i];
  make_outputs(f, numbers, words, parts);
}

struct Limits {
  int multiprocessors = 0;
  int shared_bytes = 0;
};

Limits limits_of(int device) {
  return {device_attribute(cudaDevAttrMultiProcessorCount, device), device_attribute(cudaDevAttrMaxSharedMemoryPerBlockOptin, device)};
}

template <class T>
bool launch(double alpha, const TensorView& x, const StackedRows& p, const StackedRows& q, const TensorView& h, const TensorView& y,
            const LinearEpilogue& e, std::span<std::byte> workspace, cudaStream_t stream) {
  using Sum = Accumulator<T>;
  const Limits limits = limits_of(y.device.index);
  constexpr std::size_t kStatic = sizeof(Sum) * kParts * kFusedOutputs + 1024;
  const std::int64_t rows = x.shape[0], inner = p.rows();
  // One block to a multiprocessor is always resident.
  const FusedPlan plan = plan_fused_forward(rows, x.shape[1], y.shape[1], inner, sizeof(Sum), limits.multiprocessors,
                                            static_cast<std::size_t>(limits.shared_bytes) - kStatic, workspace.size());
  if (!plan.possible || !aligned16(workspace.data())) return false;
  auto* const arrived = reinterpret_cast<unsigned*>(workspace.data());
  auto* const partial = reinterpret_cast<Sum*>(workspace.data() + 256);
  Fused<T> fused{rows, x.shape[1], y.shape[1], inner, matrix_of<T>(x), matrix_of<T>(h), matrix_of<T>(y), matrix_of<T>(e.aux_BO), e.bias_O.as<const T>(),
                 e.bias_O.strides[0], device_rows<T>(p), device_rows<T>(q), static_cast<Sum>(alpha), e.activation, arrived, partial,
                 partial + static_cast<std::int64_t>(plan.blocks) * rows * inner};
  check_status(cudaMemsetAsync(arrived, 0, 256, stream), "cudaMemsetAsync");
  // The attribute belongs to the kernel, not to the launch: every thread asks for the same, so none lowers it between another's two calls.
  check_status(cudaFuncSetAttribute(fused_kernel<T>, cudaFuncAttributeMaxDynamicSharedMemorySize, limits.shared_bytes - static_cast<int>(kStatic)),
               "cudaFuncSetAttribute");
  void* arguments[] = {&fused};
  check_status(cudaLaunchCooperativeKernel(reinterpret_cast<const void*>(fused_kernel<T>), dim3(plan.blocks), dim3(kThreads), arguments, plan.shared_bytes, stream),
               "cudaLaunchCooperativeKernel");
  return true;
}

}  // namespace

bool fused_forward_kernel(double alpha, const TensorView& x_BD, const StackedRows& p_ND, const StackedRows& q_NO, const TensorView& h_BN,
                          const TensorView& y_BO, const LinearEpilogue& epilogue, std::span<std::byte> workspace, cudaStream_t stream) {
  bool done = false;
  with_floating(y_BO.dtype, [&](auto tag) {
    done = launch<typename decltype(tag)::type>(alpha, x_BD, p_ND, q_NO, h_BN, y_BO, epilogue, workspace, stream);
  });
  return done;
}

}  // namespace panther::cuda
