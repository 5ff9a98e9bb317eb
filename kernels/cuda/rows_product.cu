// Tiled products with rows that are numbers, bits, or made from a key, and the passes over results that no library has.
#include "kernels/check_arguments.h"
#include "kernels/cuda/device_rows.cuh"
#include "kernels/cuda/entries.h"
#include "kernels/cuda/fused_linear.h"
#include "kernels/linear/check_linear.h"

namespace panther::cuda {
namespace {

constexpr int kTile = 64, kDepth = 16, kEach = 4;

template <class T>
struct Operand {
  const T* data;
  std::int64_t row_stride, k_stride;
};

template <class T>
struct Target {
  Accumulator<T> alpha, beta;
  T* data;
  std::int64_t row_stride, column_stride;
};

/// along: columns of the result are rows of the factor and the sum runs along them; else the sum runs over the rows.
template <class T, bool along>
__device__ void load_factor(const DeviceRows<T>& factor, std::int64_t columns, std::int64_t depth, std::int64_t column, std::int64_t k, std::uint32_t (*words)[4],
                            Accumulator<T> (*tile)[kTile + 1]) {
  using Sum = Accumulator<T>;
  // Words of 64 rows for 128 elements: they change every 128 elements along, every 64 rows across.
  const std::int64_t row0 = along ? column : k / kTile * kTile, element0 = along ? k : column;
  if (k % (along ? 128 : kTile) == 0) {
    __syncthreads();
    const std::int64_t row = row0 + threadIdx.x;
    if (threadIdx.x < kTile && row < factor.rows && !factor.is_stored(row)) {
      const PhiloxBlock four = factor.words(row, element0 / 128);
      for (int w = 0; w < 4; ++w) words[threadIdx.x][w] = four.word[w];
    }
    __syncthreads();
  }
  for (int i = static_cast<int>(threadIdx.x); i < kTile * kDepth; i += kThreads) {
    const int outer = along ? i / kDepth : i % kTile, inner = along ? i % kDepth : i / kTile;
    const std::int64_t at = column + outer, d = k + inner;
    const std::int64_t row = along ? at : d, element = along ? d : at;
    Sum value{0};
    if (at < columns && d < depth) {
      if (factor.is_stored(row)) {
        value = factor.stored(row, element);
      } else {
        const int bit = static_cast<int>(element % 128);
        value = (words[row - row0][bit / 32] >> (bit % 32)) & 1u ? Sum{-1} : Sum{1};
      }
    }
    tile[inner][outer] = value;
  }
}

template <class T, bool along>
__global__ void __launch_bounds__(kThreads) rows_kernel(std::int64_t rows, std::int64_t columns, std::int64_t depth, Operand<T> a, DeviceRows<T> factor,
                                                        Target<T> target) {
  using Sum = Accumulator<T>;
  __shared__ Sum a_tile[kDepth][kTile + 1], b_tile[kDepth][kTile + 1];
  __shared__ std::uint32_t words[kTile][4];
  const int across = static_cast<int>(threadIdx.x) % 16, down = static_cast<int>(threadIdx.x) / 16;
  const std::int64_t column = static_cast<std::int64_t>(blockIdx.x) * kTile;
  for (std::int64_t row = static_cast<std::int64_t>(blockIdx.y) * kTile; row < rows; row += static_cast<std::int64_t>(gridDim.y) * kTile) {
    Sum sum[kEach][kEach] = {};
    for (std::int64_t k = 0; k < depth; k += kDepth) {
      __syncthreads();
      for (int i = static_cast<int>(threadIdx.x); i < kTile * kDepth; i += kThreads) {
        const int outer = i / kDepth, inner = i % kDepth;
        a_tile[inner][outer] = row + outer < rows && k + inner < depth ? convert<Sum>(a.data[(row + outer) * a.row_stride + (k + inner) * a.k_stride]) : Sum{0};
      }
      load_factor<T, along>(factor, columns, depth, column, k, words, b_tile);
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
    }
#pragma unroll
    for (int i = 0; i < kEach; ++i) {
#pragma unroll
      for (int j = 0; j < kEach; ++j) {
        const std::int64_t r = row + down + 16 * i, c = column + across + 16 * j;
        if (r >= rows || c >= columns) continue;
        T& entry = target.data[r * target.row_stride + c * target.column_stride];
        Sum value = target.alpha * sum[i][j];
        if (target.beta != Sum{0}) value += target.beta * convert<Sum>(entry);
        entry = convert<T>(value);
      }
    }
  }
}

template <bool along>
void launch(double alpha, const TensorView& a, const StackedRows& rows, double beta, const TensorView& out, cudaStream_t stream) {
  if (out.numel() == 0) return;
  const TilePlan plan = plan_tiles(out.shape[0], out.shape[1], kTile, kTile);
  with_floating(out.dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    rows_kernel<T, along><<<dim3(plan.columns, plan.rows), kThreads, 0, stream>>>(
        out.shape[0], out.shape[1], a.shape[1], Operand<T>{a.as<const T>(), a.strides[0], a.strides[1]}, device_rows<T>(rows),
        Target<T>{static_cast<Accumulator<T>>(alpha), static_cast<Accumulator<T>>(beta), out.as<T>(), out.strides[0], out.strides[1]});
  });
  check_launch("rows product");
}

template <class T>
struct Plane {
  T* data;
  std::int64_t row_stride, column_stride;
  __device__ T& at(std::int64_t i, std::int64_t j) const { return data[i * row_stride + j * column_stride]; }
};

template <class T>
Plane<T> plane(const TensorView& view) {
  return {view.as<T>(), view.strides[0], view.strides[1]};
}

template <class T>
__global__ void finish_kernel(std::int64_t count, std::int64_t columns, Plane<T> y, Plane<T> aux, const T* bias, std::int64_t bias_stride, Activation kind) {
  const std::int64_t step = static_cast<std::int64_t>(gridDim.x) * kThreads;
  for (std::int64_t i = static_cast<std::int64_t>(blockIdx.x) * kThreads + threadIdx.x; i < count; i += step) {
    const std::int64_t row = i / columns, column = i % columns;
    Accumulator<T> z = convert<Accumulator<T>>(y.at(row, column));
    if (bias != nullptr) z += convert<Accumulator<T>>(bias[column * bias_stride]);
    if (aux.data != nullptr) aux.at(row, column) = convert<T>(z);
    y.at(row, column) = convert<T>(activate(kind, z));
  }
}

template <class T>
struct Slope {
  std::int64_t rows, columns;
  Plane<T> dy, aux, dz;
  T* dbias;
  std::int64_t dbias_stride;
  Accumulator<T> beta;
  Activation kind;
};

/// A block owns 32 columns for the whole batch: 8 rows of threads walk down it and add up in order, so no sum crosses blocks.
template <class T>
__global__ void __launch_bounds__(kThreads) slope_kernel(Slope<T> s) {
  using Sum = Accumulator<T>;
  __shared__ Sum parts[kThreads / 32][32];
  const int lane = static_cast<int>(threadIdx.x) % 32, part = static_cast<int>(threadIdx.x) / 32;
  const std::int64_t column = static_cast<std::int64_t>(blockIdx.x) * 32 + lane;
  Sum sum{0};
  for (std::int64_t row = part; row < s.rows && column < s.columns; row += kThreads / 32) {
    Sum value = convert<Sum>(s.dy.at(row, column));
    if (s.kind != Activation::none) value *= slope(s.kind, convert<Sum>(s.aux.at(row, column)));
    if (s.dz.data != nullptr) s.dz.at(row, column) = convert<T>(value);
    sum += value;
  }
  parts[part][lane] = sum;
  __syncthreads();
  if (part != 0 || s.dbias == nullptr || column >= s.columns) return;
  for (int i = 1; i < kThreads / 32; ++i) sum += parts[i][lane];
  T& entry = s.dbias[column * s.dbias_stride];
  if (s.beta != Sum{0}) sum += s.beta * convert<Sum>(entry);
  entry = convert<T>(sum);
}

__global__ void bits_kernel(SignKey key, std::int64_t vectors, std::int64_t blocks, std::int64_t stride, std::uint32_t* bits) {
  const std::int64_t step = static_cast<std::int64_t>(gridDim.x) * kThreads;
  for (std::int64_t i = static_cast<std::int64_t>(blockIdx.x) * kThreads + threadIdx.x; i < vectors * blocks; i += step) {
    const PhiloxBlock four = sign_block(key, static_cast<std::uint32_t>(i / blocks), static_cast<std::uint32_t>(i % blocks));
    for (int w = 0; w < 4; ++w) bits[i / blocks * stride + i % blocks * 4 + w] = four.word[w];
  }
}

/// A thread to 32 elements of a row.
template <class T>
__global__ void expand_kernel(DeviceRows<T> rows, std::int64_t length, Accumulator<T> scale, Plane<T> out) {
  const std::int64_t pieces = (length + 31) / 32, step = static_cast<std::int64_t>(gridDim.x) * kThreads;
  for (std::int64_t i = static_cast<std::int64_t>(blockIdx.x) * kThreads + threadIdx.x; i < rows.rows * pieces; i += step) {
    const std::int64_t row = i / pieces, first = i % pieces * 32;
    const bool stored = rows.is_stored(row);
    const std::uint32_t word = stored ? 0 : rows.words(row, first / 128).word[first / 32 % 4];
    for (std::int64_t e = first; e < length && e < first + 32; ++e) {
      const Accumulator<T> value = stored ? rows.stored(row, e) : (word >> (e % 32)) & 1u ? Accumulator<T>{-1} : Accumulator<T>{1};
      out.at(row, e) = convert<T>(scale * value);
    }
  }
}

unsigned grid_of(std::int64_t count) { return static_cast<unsigned>(std::min(kMaxBlocks, divide_up(count, kThreads))); }

}  // namespace

void project_kernel(double alpha, const TensorView& x_BL, const StackedRows& rows_NL, double beta, const TensorView& out_BN, cudaStream_t stream) {
  launch<true>(alpha, x_BL, rows_NL, beta, out_BN, stream);
}

void combine_kernel(double alpha, const TensorView& h_BN, const StackedRows& rows_NL, double beta, const TensorView& out_BL, cudaStream_t stream) {
  launch<false>(alpha, h_BN, rows_NL, beta, out_BL, stream);
}

void epilogue_kernel(const TensorView& y_BO, const LinearEpilogue& e, cudaStream_t stream) {
  if (y_BO.numel() == 0) return;
  with_floating(y_BO.dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    finish_kernel<T><<<grid_of(y_BO.numel()), kThreads, 0, stream>>>(y_BO.numel(), y_BO.shape[1], plane<T>(y_BO), plane<T>(e.aux_BO), e.bias_O.as<const T>(),
                                                                     e.bias_O.strides[0], e.activation);
  });
  check_launch("linear epilogue");
}

void activation_backward(const ActivationGradient& g, Stream stream) {
  check::activation_backward(g);
  if (g.dy_BO.shape[1] == 0) return;
  const DeviceScope scope(g.dy_BO.device.index);
  with_floating(g.dy_BO.dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    const Slope<T> s{g.dy_BO.shape[0], g.dy_BO.shape[1], plane<T>(g.dy_BO), plane<T>(g.aux_BO), plane<T>(g.dz_BO), g.dbias_O.as<T>(), g.dbias_O.strides[0],
                     static_cast<Accumulator<T>>(g.beta), g.activation};
    slope_kernel<T><<<static_cast<unsigned>(divide_up(s.columns, 32)), kThreads, 0, native(stream)>>>(s);
  });
  check_launch("activation backward");
}

void make_sign_bits(SignKey key, const TensorView& bits_NW, Stream stream) {
  check::bits(bits_NW);
  if (bits_NW.numel() == 0) return;
  const DeviceScope scope(bits_NW.device.index);
  const std::int64_t blocks = bits_NW.shape[1] / 4;
  bits_kernel<<<grid_of(bits_NW.shape[0] * blocks), kThreads, 0, native(stream)>>>(key, bits_NW.shape[0], blocks, bits_NW.strides[0],
                                                                                  bits_NW.as<std::uint32_t>());
  check_launch("sign bits");
}

void expand_rows(double scale, const StackedRows& rows, const TensorView& out_NL, Stream stream) {
  check::rows(rows, out_NL.shape[1], "expand_rows");
  if (out_NL.numel() == 0) return;
  const DeviceScope scope(out_NL.device.index);
  with_floating(out_NL.dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    expand_kernel<T><<<grid_of(rows.rows() * divide_up(out_NL.shape[1], 32)), kThreads, 0, native(stream)>>>(
        device_rows<T>(rows), out_NL.shape[1], static_cast<Accumulator<T>>(scale), plane<T>(out_NL));
  });
  check_launch("expand rows");
}

}  // namespace panther::cuda
