// A thread holds up to 32 rows of one column, neighbouring threads neighbouring columns: 5 bits of the row number are transformed in registers, 5 more after one
// exchange through shared memory.
#include "kernels/cuda/register_transform.h"

#include <cuda/atomic>
#include <type_traits>

#include "kernels/cuda/device.cuh"
#include "kernels/cuda/hadamard_plan.h"
#include "kernels/cuda/register_transform_plan.h"

namespace panther::cuda {
namespace {

template <class T>
constexpr int kPassThreads = register_pass_threads(sizeof(Accumulator<T>));
template <class T>
constexpr int kBlocksOfSm = 2;

/// Rows of a matrix whose columns are neighbours.
template <class T>
struct RowPlane {
  T* data;
  std::int64_t row_stride, columns;
};

/// From the L2 cache where another block of this launch wrote it.
template <bool shared_between_blocks, class T>
__device__ T load(const T* from) {
  if constexpr (shared_between_blocks) return __ldcg(from);
  else return *from;
}

template <bool shared_between_blocks, class T>
__device__ void store(T* to, T value) {
  if constexpr (shared_between_blocks) __stcg(to, value);
  else *to = value;
}

template <int bits, class A>
__device__ __forceinline__ void butterflies(A (&r)[1 << bits]) {
#pragma unroll
  for (int apart = 1; apart < (1 << bits); apart *= 2) {
#pragma unroll
    for (int g = 0; g < (1 << bits); ++g) {
      if ((g & apart) != 0) continue;
      const A sum = r[g] + r[g + apart];
      r[g + apart] = r[g] - r[g + apart];
      r[g] = sum;
    }
  }
}

/// Hides where a value comes from, so that addresses are made again for the stores rather than kept beside the rows.
template <class V>
__device__ __forceinline__ V again(V value) {
  asm volatile("" : "+l"(value));
  return value;
}

/// Columns of a tile that is exchanged.
template <class T, int high>
constexpr int kTileLanes = kPassThreads<T> >> high;

template <class T, int low, int high>
constexpr std::size_t kTileBytes = high == 0 ? 0 : sizeof(Accumulator<T>) * kTileLanes<T, high> * (exchange_row((1 << (low + high)) - 1, low) + 1);

/// Rows row0 + i distance, i < 2^(low + high), of columns from column0.
template <class T, int low, int high, bool shared_between_blocks>
__device__ __forceinline__ void transform_exchanged(const RowPlane<T>& x, std::int64_t column0, std::int64_t row0, std::int64_t distance, Accumulator<T> scale) {
  using A = Accumulator<T>;
  constexpr int kLanes = kTileLanes<T, high>;
  extern __shared__ __align__(16) unsigned char exchange_memory[];
  A* exchange = reinterpret_cast<A*>(exchange_memory);
  const int lane = static_cast<int>(threadIdx.x) % kLanes, group = static_cast<int>(threadIdx.x) / kLanes;
  const bool inside = column0 + lane < x.columns;
  const std::int64_t step = distance * x.row_stride;
  T* const column = x.data + row0 * x.row_stride + column0 + lane;
  {
    A r[1 << low];
    const T* from = column + (static_cast<std::int64_t>(group) << low) * step;
#pragma unroll
    for (int k = 0; k < (1 << low); ++k, from += step) r[k] = inside ? convert<A>(load<shared_between_blocks>(from)) : A{0};
    butterflies<low>(r);
#pragma unroll
    for (int k = 0; k < (1 << low); ++k) exchange[exchange_row((group << low) + k, low) * kLanes + lane] = r[k];
  }
  __syncthreads();
#pragma unroll
  for (int s = 0; s < (1 << (low - high)); ++s) {
    const int below = (s << high) + group;
    A r[1 << high];
#pragma unroll
    for (int k = 0; k < (1 << high); ++k) r[k] = exchange[exchange_row((k << low) + below, low) * kLanes + lane];
    butterflies<high>(r);
    T* to = column + below * step;
    const std::int64_t stride = again(step) << low;
#pragma unroll
    for (int k = 0; k < (1 << high); ++k, to += stride) {
      if (inside) store<shared_between_blocks>(to, convert<T>(scale * r[k]));
    }
  }
}

/// 2^bits rows `distance` apart of one column, in the registers of one thread.
template <class T, int bits, bool shared_between_blocks>
__device__ __forceinline__ void transform_column(T* column, std::int64_t step, Accumulator<T> scale) {
  using A = Accumulator<T>;
  A r[1 << bits];
  const T* from = column;
#pragma unroll
  for (int k = 0; k < (1 << bits); ++k, from += step) r[k] = convert<A>(load<shared_between_blocks>(from));
  butterflies<bits>(r);
  T* to = again(column);
  const std::int64_t stride = again(step);
#pragma unroll
  for (int k = 0; k < (1 << bits); ++k, to += stride) {
    if constexpr (shared_between_blocks) __stcs(to, scale * r[k]);  // read no more: leaves the cache first
    else *to = convert<T>(scale * r[k]);
  }
}

// One pass of its own. Blocks: group of rows, then tile of columns, the latter fastest.
template <class T, int low, int high>
__global__ void __launch_bounds__(kPassThreads<T>, kBlocksOfSm<T>) pass_kernel(RowPlane<T> x, std::int64_t distance, std::int64_t column_tiles, Accumulator<T> scale) {
  const std::int64_t tile = static_cast<std::int64_t>(blockIdx.x) % column_tiles, group = static_cast<std::int64_t>(blockIdx.x) / column_tiles;
  const std::int64_t row0 = first_row_of_group(group, distance, 1 << (low + high));
  if constexpr (high > 0) {
    transform_exchanged<T, low, high, false>(x, tile * kTileLanes<T, high>, row0, distance, scale);
  } else {
    const std::int64_t column = tile * kPassThreads<T> + threadIdx.x;
    if (column < x.columns) transform_column<T, low, false>(x.data + row0 * x.row_stride + column, distance * x.row_stride, scale);
  }
}

/// finished[0] counts the tiles taken, finished[1 + panel] a panel's tiles that the first pass has written.
using Counter = ::cuda::atomic_ref<unsigned, ::cuda::thread_scope_device>;

// Both passes: low + high bits by tiles of neighbouring rows, then kSecondPassBits.
template <class T, int low, int high>
__global__ void __launch_bounds__(kPassThreads<T>, kBlocksOfSm<T>) panels_kernel(RowPlane<T> x, PanelOrder order, unsigned* finished, T scale) {
  __shared__ unsigned number;
  if (threadIdx.x == 0) number = Counter(finished[0]).fetch_add(1u, ::cuda::memory_order_relaxed);
  __syncthreads();
  const PanelTile at = panel_tile(order, number);
  const std::int64_t panel_column = at.panel * order.panel_columns;
  Counter written(finished[1 + at.panel]);
  if (!at.second) {
    const std::int64_t column_tiles = order.panel_columns / kTileLanes<T, high>, column0 = panel_column + at.tile % column_tiles * kTileLanes<T, high>;
    if (column0 < x.columns) transform_exchanged<T, low, high, true>(x, column0, at.tile / column_tiles << (low + high), 1, T{1});
    __syncthreads();
    if (threadIdx.x == 0) {
      __threadfence();
      written.fetch_add(1u, ::cuda::memory_order_release);
    }
    return;
  }
  if (threadIdx.x == 0) {
    while (written.load(::cuda::memory_order_acquire) < static_cast<unsigned>(order.first_tiles)) __nanosleep(100);
    __threadfence();
  }
  __syncthreads();
  constexpr int kLanes = static_cast<int>(kTransformPanelColumns), kGroups = kPassThreads<T> / kLanes;
  const std::int64_t column_tiles = order.panel_columns / kLanes, column = panel_column + at.tile % column_tiles * kLanes + threadIdx.x % kLanes;
  const std::int64_t row = at.tile / column_tiles * kGroups + threadIdx.x / kLanes;
  if (column < x.columns) transform_column<T, kSecondPassBits, true>(x.data + row * x.row_stride + column, x.row_stride << (low + high), scale);
}

template <class Kernel>
void allow_shared(Kernel kernel, std::size_t bytes) {
  if (bytes > 48 * 1024) check_status(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(bytes)), "cudaFuncSetAttribute");
}

template <class T, int low, int high>
void launch_pass(const RowPlane<T>& x, std::int64_t rows, std::int64_t distance, Accumulator<T> scale, Stream stream) {
  constexpr int kLanes = high == 0 ? kPassThreads<T> : kTileLanes<T, high>;
  const std::int64_t column_tiles = divide_up(x.columns, kLanes), blocks = column_tiles * (rows >> (low + high));
  allow_shared(pass_kernel<T, low, high>, kTileBytes<T, low, high>);
  pass_kernel<T, low, high><<<static_cast<unsigned>(blocks), kPassThreads<T>, kTileBytes<T, low, high>, native(stream)>>>(x, distance, column_tiles, scale);
  check_launch("hadamard_transform");
}

template <class T>
void launch_pass(int bits, const RowPlane<T>& x, std::int64_t rows, std::int64_t distance, Accumulator<T> scale, Stream stream) {
  switch (bits) {
    case 0: return launch_pass<T, 0, 0>(x, rows, distance, scale, stream);
    case 1: return launch_pass<T, 1, 0>(x, rows, distance, scale, stream);
    case 2: return launch_pass<T, 2, 0>(x, rows, distance, scale, stream);
    case 3: return launch_pass<T, 3, 0>(x, rows, distance, scale, stream);
    case 4: return launch_pass<T, 4, 0>(x, rows, distance, scale, stream);
    case 5: return launch_pass<T, 5, 0>(x, rows, distance, scale, stream);
    case 6: return launch_pass<T, 3, 3>(x, rows, distance, scale, stream);
    case 7: return launch_pass<T, 4, 3>(x, rows, distance, scale, stream);
    case 8: return launch_pass<T, 4, 4>(x, rows, distance, scale, stream);
    case 9: return launch_pass<T, 5, 4>(x, rows, distance, scale, stream);
    default: return launch_pass<T, 5, 5>(x, rows, distance, scale, stream);
  }
}

template <class T, int low, int high>
void launch_panels(const RowPlane<T>& x, int log2_size, T scale, Device device, Allocator& allocator, Stream stream) {
  const PanelOrder order = plan_panels(log2_size, x.columns, 1 << (low + high), kTileLanes<T, high>, std::int64_t{kPassThreads<T>} / kTransformPanelColumns << kSecondPassBits, sizeof(T));
  const std::size_t bytes = static_cast<std::size_t>(1 + order.panels) * sizeof(unsigned);
  const Workspace counters(allocator, bytes, device, stream);
  check_status(cudaMemsetAsync(counters.data(), 0, bytes, native(stream)), "cudaMemsetAsync");
  allow_shared(panels_kernel<T, low, high>, kTileBytes<T, low, high>);
  panels_kernel<T, low, high><<<static_cast<unsigned>(order.tiles()), kPassThreads<T>, kTileBytes<T, low, high>, native(stream)>>>(
      x, order, static_cast<unsigned*>(counters.data()), scale);
  check_launch("hadamard_transform of panels");
}

template <class T>
void launch_panels(int first_bits, const RowPlane<T>& x, int log2_size, T scale, Device device, Allocator& allocator, Stream stream) {
  switch (first_bits) {
    case 6: return launch_panels<T, 3, 3>(x, log2_size, scale, device, allocator, stream);
    case 7: return launch_panels<T, 4, 3>(x, log2_size, scale, device, allocator, stream);
    case 8: return launch_panels<T, 4, 4>(x, log2_size, scale, device, allocator, stream);
    case 9: return launch_panels<T, 5, 4>(x, log2_size, scale, device, allocator, stream);
    default: return launch_panels<T, 5, 5>(x, log2_size, scale, device, allocator, stream);
  }
}

template <class T>
bool transform(double scale, const TensorView& view, int log2_size, Allocator& allocator, Stream stream) {
  using A = Accumulator<T>;
  const RegisterTransformPlan plan = plan_register_transform(log2_size, view.shape[1], view.strides[1] == 1, std::is_same_v<T, A>);
  if (plan.passes == 0) return false;
  const RowPlane<T> x{view.as<T>(), view.strides[0], view.shape[1]};
  if constexpr (std::is_same_v<T, A>) {
    if (plan.one_launch) {
      launch_panels<T>(plan.bits[0], x, log2_size, scale, view.device, allocator, stream);
      return true;
    }
  }
  std::int64_t distance = 1;
  for (int pass = 0; pass < plan.passes; distance <<= plan.bits[pass], ++pass) {
    launch_pass<T>(plan.bits[pass], x, view.shape[0], distance, pass + 1 == plan.passes ? static_cast<A>(scale) : A{1}, stream);
  }
  return true;
}

}  // namespace

bool register_transform(double scale, const TensorView& x_NC, int log2_size, Allocator& allocator, Stream stream) {
  bool done = false;
  with_floating(x_NC.dtype, [&](auto tag) { done = transform<typename decltype(tag)::type>(scale, x_NC, log2_size, allocator, stream); });
  return done;
}

}  // namespace panther::cuda
