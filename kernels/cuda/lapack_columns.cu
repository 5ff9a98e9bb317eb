#include <algorithm>

#include "core/error.h"
#include "kernels/cuda/add_splits.cuh"
#include "kernels/cuda/device.cuh"
#include "kernels/cuda/device_memory.h"
#include "kernels/cuda/lapack_columns.h"
#include "kernels/linalg/lapack_arguments.h"

namespace panther::cuda {
namespace {

constexpr unsigned kMostBlocks = 1024;  ///< along a column; longer columns are walked with a stride

/// x: elements of a column, y: columns in strides, since a grid has at most 65535 of them.
dim3 column_grid(std::int64_t rows, std::int64_t columns) {
  const auto along = static_cast<unsigned>(std::clamp<std::int64_t>((rows + kThreads - 1) / kThreads, 1, kMostBlocks));
  return dim3(along, static_cast<unsigned>(std::clamp<std::int64_t>(columns, 1, 65535)));
}

/// destination[:, to(j)] = source[:, from(j)], of which the one not listed is j.
template <class T, bool gathers>
__global__ void move_columns(const T* source, std::int64_t from, const std::int64_t* listed, T* destination, std::int64_t to, std::int64_t rows, std::int64_t columns) {
  for (std::int64_t j = blockIdx.y; j < columns; j += gridDim.y) {
    const T* read = source + (gathers ? listed[j] : j) * from;
    T* write = destination + (gathers ? j : listed[j]) * to;
    for (std::int64_t i = static_cast<std::int64_t>(blockIdx.x) * kThreads + threadIdx.x; i < rows; i += static_cast<std::int64_t>(gridDim.x) * kThreads) write[i] = read[i];
  }
}

/// One block a column: a fixed order whatever the device.
template <class T>
__global__ void square_norms(const T* a, std::int64_t leading, std::int64_t rows, std::int64_t columns, double* squares) {
  __shared__ double scratch[kThreads];
  for (std::int64_t j = blockIdx.x; j < columns; j += gridDim.x) {
    double sum = 0;
    for (std::int64_t i = threadIdx.x; i < rows; i += kThreads) {
      const double value = static_cast<double>(a[i + j * leading]);
      sum += value * value;
    }
    const double total = block_sum(sum, scratch);
    if (threadIdx.x == 0) squares[j] = total;
    __syncthreads();
  }
}

template <class T>
__global__ void fill_part(char part, T value, T diagonal, T* a, std::int64_t leading, std::int64_t rows, std::int64_t columns) {
  for (std::int64_t j = blockIdx.y; j < columns; j += gridDim.y) {
    for (std::int64_t i = static_cast<std::int64_t>(blockIdx.x) * kThreads + threadIdx.x; i < rows; i += static_cast<std::int64_t>(gridDim.x) * kThreads) {
      const bool inside = i < j ? part != 'L' : i > j ? part != 'U' : part == 'A';
      if (inside) a[i + j * leading] = i == j ? diagonal : value;
    }
  }
}

template <class T>
__global__ void mirror(T* g, std::int64_t leading, std::int64_t size) {
  for (std::int64_t j = blockIdx.y; j < size; j += gridDim.y) {
    for (std::int64_t i = static_cast<std::int64_t>(blockIdx.x) * kThreads + threadIdx.x; i < size; i += static_cast<std::int64_t>(gridDim.x) * kThreads) {
      if (i > j) g[i + j * leading] = g[j + i * leading];
    }
  }
}

template <class T>
__global__ void find_bad(const T* a, std::int64_t leading, std::int64_t rows, std::int64_t columns, int* found) {
  for (std::int64_t j = blockIdx.y; j < columns; j += gridDim.y) {
    for (std::int64_t i = static_cast<std::int64_t>(blockIdx.x) * kThreads + threadIdx.x; i < rows; i += static_cast<std::int64_t>(gridDim.x) * kThreads) {
      if (!isfinite(a[i + j * leading])) *found = 1;  // all writers write the same
    }
  }
}

template <class Body>
void with_real(const TensorView& a, Body&& body) {
  if (a.dtype == DType::f64) return body(TypeTag<double>{});
  body(TypeTag<float>{});
}

template <bool gathers>
void move_listed(const TensorView& source, std::span<const std::int64_t> columns, const TensorView& destination, Allocator& allocator, Stream stream) {
  if (source.shape[0] == 0 || columns.empty()) return;
  const DeviceScope scope(source.device.index);
  Workspace listed(allocator, columns.size() * sizeof(std::int64_t), source.device, stream);
  copy_async(listed.data(), columns.data(), columns.size() * sizeof(std::int64_t), stream);
  stream_synchronize(stream);  // the caller's list may go
  const auto count = static_cast<std::int64_t>(columns.size());
  with_real(source, [&](auto tag) {
    using T = typename decltype(tag)::type;
    move_columns<T, gathers><<<column_grid(source.shape[0], count), kThreads, 0, native(stream)>>>(
        source.as<const T>(), linalg::leading_dimension(source), static_cast<const std::int64_t*>(listed.data()), destination.as<T>(),
        linalg::leading_dimension(destination), source.shape[0], count);
  });
  check_launch(gathers ? "gather_columns" : "scatter_columns");
}

}  // namespace

void gather_columns(const TensorView& source, std::span<const std::int64_t> columns, const TensorView& destination, Allocator& allocator, Stream stream) {
  linalg::check_gather(source, columns, destination, DeviceKind::cuda);
  move_listed<true>(source, columns, destination, allocator, stream);
}

void scatter_columns(const TensorView& source, std::span<const std::int64_t> columns, const TensorView& destination, Allocator& allocator, Stream stream) {
  linalg::check_scatter(source, columns, destination, DeviceKind::cuda);
  move_listed<false>(source, columns, destination, allocator, stream);
}

void column_norms(const TensorView& a_MN, const TensorView& squares_N, Stream stream) {
  linalg::require_column_major(a_MN, DeviceKind::cuda, "column_norms: a");
  linalg::require_vector(squares_N, DType::f64, a_MN.shape[1], DeviceKind::cuda, "column_norms: squares");
  if (a_MN.shape[1] == 0) return;
  const DeviceScope scope(a_MN.device.index);
  const auto blocks = static_cast<unsigned>(std::min<std::int64_t>(a_MN.shape[1], 65535));
  with_real(a_MN, [&](auto tag) {
    using T = typename decltype(tag)::type;
    square_norms<T><<<blocks, kThreads, 0, native(stream)>>>(a_MN.as<const T>(), linalg::leading_dimension(a_MN), a_MN.shape[0], a_MN.shape[1],
                                                            squares_N.as<double>());
  });
  check_launch("column_norms");
}

void fill(char part, double value, double diagonal, const TensorView& a_MN, Stream stream) {
  linalg::require_column_major(a_MN, DeviceKind::cuda, "fill: a");
  PANTHER_REQUIRE(part == 'A' || part == 'L' || part == 'U', "fill: part ", part, " is none of A L U");
  if (a_MN.numel() == 0) return;
  const DeviceScope scope(a_MN.device.index);
  with_real(a_MN, [&](auto tag) {
    using T = typename decltype(tag)::type;
    fill_part<T><<<column_grid(a_MN.shape[0], a_MN.shape[1]), kThreads, 0, native(stream)>>>(
        part, static_cast<T>(value), static_cast<T>(diagonal), a_MN.as<T>(), linalg::leading_dimension(a_MN), a_MN.shape[0], a_MN.shape[1]);
  });
  check_launch("fill");
}

bool all_finite(const TensorView& a_MN, Allocator& allocator, Stream stream) {
  linalg::require_column_major(a_MN, DeviceKind::cuda, "all_finite: a");
  if (a_MN.numel() == 0) return true;
  const DeviceScope scope(a_MN.device.index);
  Workspace flag(allocator, sizeof(int), a_MN.device, stream);
  fill_zero_async(flag.data(), sizeof(int), stream);
  with_real(a_MN, [&](auto tag) {
    using T = typename decltype(tag)::type;
    find_bad<T><<<column_grid(a_MN.shape[0], a_MN.shape[1]), kThreads, 0, native(stream)>>>(
        a_MN.as<const T>(), linalg::leading_dimension(a_MN), a_MN.shape[0], a_MN.shape[1], static_cast<int*>(flag.data()));
  });
  check_launch("all_finite");
  int found = 0;
  copy_async(&found, flag.data(), sizeof(int), stream);
  stream_synchronize(stream);
  return found == 0;
}

void add_parts(const void* matrices, std::int64_t parts, double beta, const TensorView& g_NN, Stream stream) {
  if (g_NN.numel() == 0) return;
  const DeviceScope scope(g_NN.device.index);
  with_real(g_NN, [&](auto tag) {
    using T = typename decltype(tag)::type;
    add_splits<T, T><<<static_cast<unsigned>(divide_up(g_NN.numel(), kThreads)), kThreads, 0, native(stream)>>>(
        static_cast<const T*>(matrices), static_cast<int>(parts), g_NN.shape[1], g_NN.shape[0], T{1}, static_cast<T>(beta), g_NN.as<T>(), linalg::leading_dimension(g_NN), 1);
  });
  check_launch("add_parts");
}

void mirror_upper(const TensorView& g_NN, Stream stream) {
  if (g_NN.numel() == 0) return;
  const DeviceScope scope(g_NN.device.index);
  with_real(g_NN, [&](auto tag) {
    using T = typename decltype(tag)::type;
    mirror<T><<<column_grid(g_NN.shape[0], g_NN.shape[1]), kThreads, 0, native(stream)>>>(g_NN.as<T>(), linalg::leading_dimension(g_NN), g_NN.shape[0]);
  });
  check_launch("mirror_upper");
}

}  // namespace panther::cuda
