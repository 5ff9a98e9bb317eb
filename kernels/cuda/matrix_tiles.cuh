#pragma once
// Matrices of any strides read and written by tiles, so that both sides' accesses lie side by side.
#include "kernels/cuda/device.cuh"

namespace panther::cuda {

/// A matrix as a kernel takes it.
template <class T>
struct Plane {
  T* data = nullptr;
  std::int64_t row_stride = 0, column_stride = 0;
  __host__ __device__ T& at(std::int64_t row, std::int64_t column) const { return data[row * row_stride + column * column_stride]; }
  /// Neighbouring threads should walk rows rather than columns.
  __host__ __device__ bool rows_are_near() const { return row_stride < column_stride; }
};

template <class T>
Plane<T> plane_of(const TensorView& view) { return {view.as<T>(), view.strides[0], view.strides[1]}; }

/// alpha value + beta former, rounded once; former is not read for beta == 0.
template <class T>
__device__ T blend(Accumulator<T> alpha, Accumulator<T> value, Accumulator<T> beta, const T& former) {
  using A = Accumulator<T>;
  return convert<T>(beta == A{0} ? alpha * value : alpha * value + beta * convert<A>(former));
}

inline constexpr int kTile = 32;

/// target = alpha source + beta target, through a tile in shared memory. Blocks of kTile x 8 threads; rows on y beyond the grid by its height.
template <class From, class To>
__global__ void blend_tiles(Plane<const From> source, Plane<To> target, std::int64_t rows, std::int64_t columns, Accumulator<To> alpha, Accumulator<To> beta) {
  using A = Accumulator<To>;
  __shared__ A tile[kTile][kTile + 1];
  const std::int64_t column0 = static_cast<std::int64_t>(blockIdx.x) * kTile;
  for (std::int64_t row0 = static_cast<std::int64_t>(blockIdx.y) * kTile; row0 < rows; row0 += static_cast<std::int64_t>(gridDim.y) * kTile) {
    for (int i = static_cast<int>(threadIdx.y); i < kTile; i += 8) {
      const int r = source.rows_are_near() ? static_cast<int>(threadIdx.x) : i, c = source.rows_are_near() ? i : static_cast<int>(threadIdx.x);
      if (row0 + r < rows && column0 + c < columns) tile[r][c] = convert<A>(source.at(row0 + r, column0 + c));
    }
    __syncthreads();
    for (int i = static_cast<int>(threadIdx.y); i < kTile; i += 8) {
      const int r = target.rows_are_near() ? static_cast<int>(threadIdx.x) : i, c = target.rows_are_near() ? i : static_cast<int>(threadIdx.x);
      if (row0 + r < rows && column0 + c < columns) {
        To& to = target.at(row0 + r, column0 + c);
        to = blend<To>(alpha, tile[r][c], beta, to);
      }
    }
    __syncthreads();
  }
}

template <class From, class To>
void launch_blend(Plane<const From> source, Plane<To> target, std::int64_t rows, std::int64_t columns, double alpha, double beta, Stream stream) {
  if (rows == 0 || columns == 0) return;
  const TilePlan plan = plan_tiles(rows, columns, kTile, kTile);
  using A = Accumulator<To>;
  blend_tiles<From, To><<<dim3(plan.columns, plan.rows), dim3(kTile, 8), 0, native(stream)>>>(source, target, rows, columns, static_cast<A>(alpha), static_cast<A>(beta));
  check_launch("blend_tiles");
}

}  // namespace panther::cuda
