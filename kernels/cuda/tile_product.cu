#include "kernels/cuda/tile_product.h"

#include "kernels/check_arguments.h"
#include "kernels/cuda/dense_sketch.h"
#include "kernels/cuda/device.cuh"
#include "kernels/cuda/entries.h"
#include "kernels/cuda/hopper/sign_mma.h"
#include "kernels/cuda/real_block.cuh"
#include "kernels/cuda/sketch_blocks.h"
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
  using Sum = Accumulator<T>;

  /// tile[depth][outer] from (outer, k) on; zero outside [0, outers) x [0, depth).
  __device__ void load(std::uint32_t*, std::int64_t outer, std::int64_t k, std::int64_t outers, std::int64_t depth, Sum (*tile)[kTile + 1]) const {
    for (int i = static_cast<int>(threadIdx.x); i < kTile * kDepth; i += kThreads) {
      // Neighbouring threads follow the operand's unit stride.
      const bool along_k = k_stride == 1;
      const int o = along_k ? i / kDepth : i % kTile, d = along_k ? i % kDepth : i / kTile;
      const bool inside = outer + o >= 0 && outer + o < outers && k + d >= 0 && k + d < depth;
      tile[d][o] = inside ? convert<Sum>(data[(outer + o) * outer_stride + (k + d) * k_stride]) : Sum{0};
    }
  }
};

/// A tile whose bits say which entries are -1: bit(outer, depth) of words already in `bits`. Entries beyond the sketch meet zeros of x.
template <class Sum, class Bit>
__device__ void fill_signs(Sum (*tile)[kTile + 1], const Bit& bit) {
  __syncthreads();
  for (int i = static_cast<int>(threadIdx.x); i < kTile * kDepth; i += kThreads) {
    const int o = i % kTile, d = i / kTile;
    tile[d][o] = with_sign(Sum{1}, bit(o, d));
  }
}

/// Columns are sign vectors and depth runs over their elements: bits of 64 vectors for 128 elements at a time.
template <class T>
struct VectorSigns {
  DenseSketch sketch;
  static constexpr int kBitWords = kTile * 4;
  using Sum = Accumulator<T>;

  __device__ void load(std::uint32_t* bits, std::int64_t vector, std::int64_t k, std::int64_t, std::int64_t, Sum (*tile)[kTile + 1]) const {
    const std::int64_t element = sketch.first_element + k;  // a multiple of 16, by the product's origin
    if (element % 128 == 0 && threadIdx.x < kTile) {
      const PhiloxBlock block =
          sign_block(sketch.key, static_cast<std::uint32_t>(sketch.first_vector + vector + threadIdx.x), static_cast<std::uint32_t>(element / 128));
      for (int w = 0; w < 4; ++w) bits[threadIdx.x * 4 + w] = block.word[w];
    }
    fill_signs<Sum>(tile, [&](int o, int d) { return (bits[o * 4 + element % 128 / 32] >> ((element + d) % 32)) & 1u; });
  }
};

/// Columns are elements and depth runs over sign vectors: bits of 64 elements for 64 vectors at a time.
template <class T>
struct ElementSigns {
  DenseSketch sketch;
  static constexpr int kBitWords = kTile * 2;
  using Sum = Accumulator<T>;

  __device__ void load(std::uint32_t* bits, std::int64_t column, std::int64_t vector, std::int64_t, std::int64_t, Sum (*tile)[kTile + 1]) const {
    const std::int64_t element = sketch.first_element + column;  // a multiple of 64, by the product's origin
    if (vector % kTile == 0 && threadIdx.x < kTile) {
      const PhiloxBlock block =
          sign_block(sketch.key, static_cast<std::uint32_t>(sketch.first_vector + vector + threadIdx.x), static_cast<std::uint32_t>(element / 128));
      const bool upper = element % 128 != 0;
      bits[threadIdx.x * 2] = upper ? block.word[2] : block.word[0];
      bits[threadIdx.x * 2 + 1] = upper ? block.word[3] : block.word[1];
    }
    fill_signs<Sum>(tile, [&](int o, int d) { return (bits[(vector + d) % kTile * 2 + o / 32] >> (o % 32)) & 1u; });
  }
};

/// Gaussian or uniform entries, made where they are used: a thread draws one Philox block, four neighbouring elements of one vector.
template <class T, bool lift>
struct RealEntries {
  DenseSketch sketch;
  static constexpr int kBitWords = 1;
  using Sum = Accumulator<T>;
  static_assert(kTile * kDepth == 4 * kThreads, "one Philox block a thread");

  __device__ void load(std::uint32_t*, std::int64_t column, std::int64_t k, std::int64_t, std::int64_t, Sum (*tile)[kTile + 1]) const {
    // Elements run along columns when lifting, along depth when projecting; their absolute index is a multiple of 4 at the tile's corner.
    constexpr int blocks = (lift ? kTile : kDepth) / 4;
    const int block = static_cast<int>(threadIdx.x) % blocks, vector = static_cast<int>(threadIdx.x) / blocks;
    const NormalBlock entries = real_block(sketch, static_cast<std::uint32_t>(sketch.first_vector + (lift ? k : column) + vector),
                                           static_cast<std::uint32_t>((sketch.first_element + (lift ? column : k)) / 4 + block));
    for (int w = 0; w < 4; ++w) {
      const int e = block * 4 + w;
      tile[lift ? vector : e][lift ? e : vector] = static_cast<Sum>(entries.value[w]);
    }
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
__global__ void __launch_bounds__(kThreads) product_kernel(Shape shape, TileOrigin origin, StoredOperand<T> a, B b, Result<T> result) {
  using Sum = Accumulator<T>;
  __shared__ Sum a_tile[kDepth][kTile + 1], b_tile[kDepth][kTile + 1];
  __shared__ std::uint32_t bits[B::kBitWords];
  const int across = static_cast<int>(threadIdx.x) % 16, down = static_cast<int>(threadIdx.x) / 16;
  const std::int64_t column = static_cast<std::int64_t>(blockIdx.x) * kTile - origin.column;
  for (std::int64_t row = static_cast<std::int64_t>(blockIdx.y) * kTile; row < shape.rows; row += static_cast<std::int64_t>(gridDim.y) * kTile) {
    Sum sum[kEach][kEach] = {};
    for (std::int64_t k = -origin.depth; k < shape.depth; k += kDepth) {
      a.load(nullptr, row, k, shape.rows, shape.depth, a_tile);
      b.load(bits, column, k, shape.columns, shape.depth, b_tile);
      __syncthreads();
#pragma unroll
      for (int p = 0; p < kDepth; ++p) {
        Sum left[kEach], right[kEach];
#pragma unroll
        for (int i = 0; i < kEach; ++i) left[i] = a_tile[p][down + 16 * i], right[i] = b_tile[p][across + 16 * i];
#pragma unroll
        for (int i = 0; i < kEach; ++i) {
#pragma unroll
          for (int j = 0; j < kEach; ++j) sum[i][j] = fma(left[i], right[j], sum[i][j]);
        }
      }
      __syncthreads();
    }
#pragma unroll
    for (int i = 0; i < kEach; ++i) {
#pragma unroll
      for (int j = 0; j < kEach; ++j) {
        const std::int64_t r = row + down + 16 * i, c = column + across + 16 * j;
        if (r < shape.rows && c >= 0 && c < shape.columns) result.write(r, c, sum[i][j]);
      }
    }
  }
}

template <class T, class B>
void launch(const Shape& shape, TileOrigin origin, const StoredOperand<T>& a, const B& b, double alpha, double beta, const TensorView& c,
            const TensorView& bias, cudaStream_t stream) {
  if (shape.rows == 0 || shape.columns == 0) return;
  const TilePlan plan = plan_tiles(shape.rows, shape.columns + origin.column, kTile, kTile);
  const Result<T> result{static_cast<Accumulator<T>>(alpha), static_cast<Accumulator<T>>(beta), c.as<T>(), c.strides[0], c.strides[1],
                         bias.as<const T>(), bias.strides[0]};
  product_kernel<T, B><<<dim3(plan.columns, plan.rows), kThreads, 0, stream>>>(shape, origin, a, b, result);
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
    launch<T>({c_MN.shape[0], c_MN.shape[1], a_MK.shape[1]}, {}, rows_of<T>(a_MK), columns, alpha, beta, c_MN, bias_N, stream);
  });
}

namespace {

void project(const DenseSketch& sketch, double alpha, const TensorView& x_BE, double beta, const TensorView& out_BV, Allocator& allocator, Stream stream) {
  check::dense_product("dense sketch project", sketch, x_BE, out_BV, out_BV.shape[1], x_BE.shape[1]);
  if (project_by_sign_mma(sketch, alpha, x_BE, beta, out_BV, allocator, stream)) return;
  if (project_by_blocks(sketch, alpha, x_BE, beta, out_BV, allocator, stream)) return;
  const DeviceScope scope(out_BV.device.index);
  with_floating(out_BV.dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    const Shape shape{out_BV.shape[0], out_BV.shape[1], x_BE.shape[1]};
    const bool signs = sketch.distribution == DenseDistribution::signs;
    const TileOrigin origin = project_origin(sketch.first_element, signs ? 128 : 4);
    if (signs) launch<T>(shape, origin, rows_of<T>(x_BE), VectorSigns<T>{sketch}, alpha, beta, out_BV, TensorView{}, native(stream));
    else launch<T>(shape, origin, rows_of<T>(x_BE), RealEntries<T, false>{sketch}, alpha, beta, out_BV, TensorView{}, native(stream));
  });
}

void lift(const DenseSketch& sketch, double alpha, const TensorView& x_BV, double beta, const TensorView& out_BE, Allocator& allocator, Stream stream) {
  check::dense_product("dense sketch lift", sketch, x_BV, out_BE, x_BV.shape[1], out_BE.shape[1]);
  if (lift_by_blocks(sketch, alpha, x_BV, beta, out_BE, allocator, stream)) return;
  const DeviceScope scope(out_BE.device.index);
  with_floating(out_BE.dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    const Shape shape{out_BE.shape[0], out_BE.shape[1], x_BV.shape[1]};
    const bool signs = sketch.distribution == DenseDistribution::signs;
    const TileOrigin origin = lift_origin(sketch.first_element, signs ? kTile : 4);
    if (signs) launch<T>(shape, origin, rows_of<T>(x_BV), ElementSigns<T>{sketch}, alpha, beta, out_BE, TensorView{}, native(stream));
    else launch<T>(shape, origin, rows_of<T>(x_BV), RealEntries<T, true>{sketch}, alpha, beta, out_BE, TensorView{}, native(stream));
  });
}

void multiply(double alpha, const TensorView& a_MK, const TensorView& b_KN, double beta, const TensorView& c_MN, Stream stream) {
  check::gemm(a_MK, b_KN, c_MN, {});
  const DeviceScope scope(c_MN.device.index);
  tile_gemm(alpha, a_MK, b_KN, beta, c_MN, {}, native(stream));
}

}  // namespace

void sign_project(SignKey key, double alpha, const TensorView& x_BE, double beta, const TensorView& out_BV, Stream stream) {
  project({.key = key}, alpha, x_BE, beta, out_BV, plain_allocator(), stream);
}

void sign_lift(SignKey key, double alpha, const TensorView& x_BV, double beta, const TensorView& out_BE, Stream stream) {
  lift({.key = key}, alpha, x_BV, beta, out_BE, plain_allocator(), stream);
}

const DenseSketchKernels kDenseSketch{expand, project, lift, multiply};

}  // namespace panther::cuda
