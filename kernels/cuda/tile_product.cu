#include "kernels/cuda/tile_product.h"

#include "kernels/check_arguments.h"
#include "kernels/cuda/device.cuh"
#include "kernels/cuda/entries.h"
#include "kernels/element/sign.h"

namespace panther::cuda {
namespace {

constexpr int kTile = 64;   // rows and columns of a block's tile
constexpr int kDepth = 16;  // of one step
constexpr int kEach = 4;    // a thread holds 4 x 4 results

struct Shape {
  std::int64_t rows, columns, depth;
};

/// A stored operand, element (outer, k).
template <class T>
struct StoredOperand {
  const T* data;
  std::int64_t outer_stride, k_stride;
  static constexpr int kBitWords = 1;

  __device__ void prepare(std::uint32_t*, std::int64_t, std::int64_t) const {}
  __device__ Accumulator<T> at(const std::uint32_t*, std::int64_t outer, std::int64_t k, int, int) const {
    return convert<Accumulator<T>>(data[outer * outer_stride + k * k_stride]);
  }
};

/// Columns are sign vectors and depth runs over their elements: bits of 64 vectors for 128 elements at a time.
template <class T>
struct VectorSigns {
  SignKey key;
  static constexpr int kBitWords = kTile * 4;

  __device__ void prepare(std::uint32_t* bits, std::int64_t vector, std::int64_t element) const {
    if (element % 128 != 0 || threadIdx.x >= kTile) return;
    const PhiloxBlock block = sign_block(key, static_cast<std::uint32_t>(vector + threadIdx.x), static_cast<std::uint32_t>(element / 128));
    for (int w = 0; w < 4; ++w) bits[threadIdx.x * 4 + w] = block.word[w];
  }
  __device__ Accumulator<T> at(const std::uint32_t* bits, std::int64_t, std::int64_t element, int column, int) const {
    return with_sign(Accumulator<T>{1}, (bits[column * 4 + element % 128 / 32] >> (element % 32)) & 1u);
  }
};

/// Columns are elements and depth runs over sign vectors: bits of 64 elements for 64 vectors at a time.
template <class T>
struct ElementSigns {
  SignKey key;
  static constexpr int kBitWords = kTile * 2;

  __device__ void prepare(std::uint32_t* bits, std::int64_t element, std::int64_t vector) const {
    if (vector % kTile != 0 || threadIdx.x >= kTile) return;
    const PhiloxBlock block = sign_block(key, static_cast<std::uint32_t>(vector + threadIdx.x), static_cast<std::uint32_t>(element / 128));
    const bool upper = element % 128 != 0;
    bits[threadIdx.x * 2] = upper ? block.word[2] : block.word[0];
    bits[threadIdx.x * 2 + 1] = upper ? block.word[3] : block.word[1];
  }
  __device__ Accumulator<T> at(const std::uint32_t* bits, std::int64_t, std::int64_t vector, int column, int) const {
    return with_sign(Accumulator<T>{1}, (bits[vector % kTile * 2 + column / 32] >> (column % 32)) & 1u);
  }
};

template <class T>
struct Result {
  Accumulator<T> alpha, beta;
  T* c;
  std::int64_t row_stride, column_stride;
  const T* bias;
  std::int64_t bias_stride;

  __device__ void write(std::int64_t row, std::int64_t column, Accumulator<T> sum) const {
    T& entry = c[row * row_stride + column * column_stride];
    Accumulator<T> value = alpha * sum;
    if (beta != Accumulator<T>{0}) value += beta * convert<Accumulator<T>>(entry);
    if (bias != nullptr) value += convert<Accumulator<T>>(bias[column * bias_stride]);
    entry = convert<T>(value);
  }
};

template <class T, class B>
__device__ void load_step(const StoredOperand<T>& a, const B& b, const Shape& shape, std::int64_t row, std::int64_t column, std::int64_t k,
                          const std::uint32_t* bits, Accumulator<T> (*a_tile)[kTile + 1], Accumulator<T> (*b_tile)[kTile + 1]) {
  for (int i = static_cast<int>(threadIdx.x); i < kTile * kDepth; i += kThreads) {
    // Neighbouring threads follow the operand's unit stride.
    const bool along_k = a.k_stride == 1;
    const int outer = along_k ? i / kDepth : i % kTile, depth = along_k ? i % kDepth : i / kTile;
    const bool inside = row + outer < shape.rows && k + depth < shape.depth;
    a_tile[depth][outer] = inside ? a.at(nullptr, row + outer, k + depth, outer, depth) : Accumulator<T>{0};
  }
  for (int i = static_cast<int>(threadIdx.x); i < kTile * kDepth; i += kThreads) {
    const int outer = i % kTile, depth = i / kTile;
    const bool inside = column + outer < shape.columns && k + depth < shape.depth;
    b_tile[depth][outer] = inside ? b.at(bits, column + outer, k + depth, outer, depth) : Accumulator<T>{0};
  }
}

template <class T, class B>
__global__ void __launch_bounds__(kThreads) product_kernel(Shape shape, StoredOperand<T> a, B b, Result<T> result) {
  using Sum = Accumulator<T>;
  __shared__ Sum a_tile[kDepth][kTile + 1], b_tile[kDepth][kTile + 1];
  __shared__ std::uint32_t bits[B::kBitWords];
  const int across = static_cast<int>(threadIdx.x) % 16, down = static_cast<int>(threadIdx.x) / 16;
  const std::int64_t column = static_cast<std::int64_t>(blockIdx.x) * kTile;
  for (std::int64_t row = static_cast<std::int64_t>(blockIdx.y) * kTile; row < shape.rows; row += static_cast<std::int64_t>(gridDim.y) * kTile) {
    Sum sum[kEach][kEach] = {};
    for (std::int64_t k = 0; k < shape.depth; k += kDepth) {
      b.prepare(bits, column, k);
      __syncthreads();
      load_step(a, b, shape, row, column, k, bits, a_tile, b_tile);
      __syncthreads();
#pragma unroll
      for (int p = 0; p < kDepth; ++p) {
        Sum left[kEach], right[kEach];
#pragma unroll
        for (int i = 0; i < kEach; ++i) left[i] = a_tile[p][down + 16 * i], right[i] = b_tile[p][across + 16 * i];
#pragma unroll
        for (int i = 0; i < kEach; ++i) {
#pragma unroll
          for (int j = 0; j < kEach; ++j) sum[i][j] += left[i] * right[j];
        }
      }
      __syncthreads();
    }
#pragma unroll
    for (int i = 0; i < kEach; ++i) {
#pragma unroll
      for (int j = 0; j < kEach; ++j) {
        const std::int64_t r = row + down + 16 * i, c = column + across + 16 * j;
        if (r < shape.rows && c < shape.columns) result.write(r, c, sum[i][j]);
      }
    }
  }
}

template <class T, class B>
void launch(const Shape& shape, const StoredOperand<T>& a, const B& b, double alpha, double beta, const TensorView& c, const TensorView& bias,
            cudaStream_t stream) {
  if (shape.rows == 0 || shape.columns == 0) return;
  const TilePlan plan = plan_tiles(shape.rows, shape.columns, kTile, kTile);
  const Result<T> result{static_cast<Accumulator<T>>(alpha), static_cast<Accumulator<T>>(beta), c.as<T>(), c.strides[0], c.strides[1],
                         bias.as<const T>(), bias.strides[0]};
  product_kernel<T, B><<<dim3(plan.columns, plan.rows), kThreads, 0, stream>>>(shape, a, b, result);
  check_launch("product");
}

template <class T>
StoredOperand<T> rows_of(const TensorView& a) {
  return {a.as<const T>(), a.strides[0], a.strides[1]};
}

}  // namespace

void tile_gemm(double alpha, const TensorView& a_MK, const TensorView& b_KN, double beta, const TensorView& c_MN, const TensorView& bias_N,
               cudaStream_t stream) {
  with_floating(c_MN.dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    const StoredOperand<T> columns{b_KN.as<const T>(), b_KN.strides[1], b_KN.strides[0]};
    launch<T>({c_MN.shape[0], c_MN.shape[1], a_MK.shape[1]}, rows_of<T>(a_MK), columns, alpha, beta, c_MN, bias_N, stream);
  });
}

void sign_project(SignKey key, double alpha, const TensorView& x_BE, double beta, const TensorView& out_BV, Stream stream) {
  check::sign_product("sign_project", x_BE, out_BV, out_BV.shape[1], x_BE.shape[1]);
  const DeviceScope scope(out_BV.device.index);
  with_floating(out_BV.dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    launch<T>({out_BV.shape[0], out_BV.shape[1], x_BE.shape[1]}, rows_of<T>(x_BE), VectorSigns<T>{key}, alpha, beta, out_BV, TensorView{}, native(stream));
  });
}

void sign_lift(SignKey key, double alpha, const TensorView& x_BV, double beta, const TensorView& out_BE, Stream stream) {
  check::sign_product("sign_lift", x_BV, out_BE, x_BV.shape[1], out_BE.shape[1]);
  const DeviceScope scope(out_BE.device.index);
  with_floating(out_BE.dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    launch<T>({out_BE.shape[0], out_BE.shape[1], x_BV.shape[1]}, rows_of<T>(x_BV), ElementSigns<T>{key}, alpha, beta, out_BE, TensorView{}, native(stream));
  });
}

}  // namespace panther::cuda
