#include "kernels/cpu/packed_gemm.h"

#include <algorithm>
#include <type_traits>

#include "core/error.h"
#include "kernels/cpu/parallel.h"
#include "kernels/cpu/transpose.h"
#include "kernels/cpu/vectorised.h"
#include "kernels/element/convert.h"

namespace panther::cpu {
namespace {

template <class T, int width, class S>
PANTHER_VECTORISED void pack_view(const PanelSource<T>& self, std::int64_t outer, std::int64_t outers, std::int64_t k, std::int64_t depth, T* panel) {
  for (std::int64_t first = 0; first < outers; first += width) {
    const std::int64_t count = std::min<std::int64_t>(width, outers - first);
    const S* source = static_cast<const S*>(self.data) + (outer + first) * self.outer_stride + k * self.k_stride;
    T* sliver = panel + first * depth;
    if (count < width) std::fill(sliver, sliver + depth * width, T{0});
    if (self.outer_stride == 1 && count == width) {
      for (std::int64_t p = 0; p < depth; ++p) {
        for (int j = 0; j < width; ++j) sliver[p * width + j] = convert<T>(source[p * self.k_stride + j]);
      }
    } else if (self.k_stride == 1) {
      std::int64_t steps = 0;
      if constexpr (std::is_same_v<T, S> && width % 4 == 0) {
        if (count == width) {
          steps = depth / 4 * 4;
          for (std::int64_t p = 0; p < steps; p += 4) {
            for (int j = 0; j < width; j += 4) transpose_four(source + j * self.outer_stride + p, self.outer_stride, sliver + p * width + j, width);
          }
        }
      }
      for (std::int64_t j = 0; j < count; ++j) {
        for (std::int64_t p = steps; p < depth; ++p) sliver[p * width + j] = convert<T>(source[j * self.outer_stride + p]);
      }
    } else {
      for (std::int64_t j = 0; j < count; ++j) {
        for (std::int64_t p = 0; p < depth; ++p) sliver[p * width + j] = convert<T>(source[j * self.outer_stride + p * self.k_stride]);
      }
    }
  }
}

template <class T, int width>
PanelSource<T> source_of(const void* data, DType dtype, std::int64_t outer_stride, std::int64_t k_stride) {
  PanelSource<T> source{nullptr, data, outer_stride, k_stride};
  switch (dtype) {
    case DType::f64: source.pack = pack_view<T, width, double>; break;
    case DType::f32: source.pack = pack_view<T, width, float>; break;
    case DType::bf16: source.pack = pack_view<T, width, Bf16>; break;
    case DType::f16: source.pack = pack_view<T, width, F16>; break;
    case DType::i64: case DType::i32: case DType::u8: PANTHER_CHECK(false, "packed_gemm: operand is not floating");
  }
  return source;
}

// 32 bytes: the compiler keeps wider vectors in memory on processors without AVX-512.
template <class T> struct Lanes;
template <> struct Lanes<float> {
  typedef float type __attribute__((vector_size(32)));
  typedef float unaligned __attribute__((vector_size(32), aligned(4), may_alias));
};
template <> struct Lanes<double> {
  typedef double type __attribute__((vector_size(32)));
  typedef double unaligned __attribute__((vector_size(32), aligned(8), may_alias));
};

/// tile[6][64 bytes wide] += a-sliver times b-sliver; `tile_stride` elements between its rows.
template <class T>
PANTHER_VECTORISED void multiply_slivers(const T* a, const T* b, std::int64_t depth, T* tile, std::int64_t tile_stride) {
  constexpr int width = kPanelColumns<T>, half = width / 2;
  using Unaligned = typename Lanes<T>::unaligned;
  typename Lanes<T>::type low[kPanelRows] = {}, high[kPanelRows] = {};
  for (std::int64_t p = 0; p < depth; ++p) {
    const typename Lanes<T>::type left = *reinterpret_cast<const Unaligned*>(b + p * width), right = *reinterpret_cast<const Unaligned*>(b + p * width + half);
#pragma GCC unroll 6
    for (int i = 0; i < kPanelRows; ++i) {
      low[i] += a[p * kPanelRows + i] * left;
      high[i] += a[p * kPanelRows + i] * right;
    }
  }
#pragma GCC unroll 6
  for (int i = 0; i < kPanelRows; ++i) {
    *reinterpret_cast<Unaligned*>(tile + i * tile_stride) += low[i];
    *reinterpret_cast<Unaligned*>(tile + i * tile_stride + half) += high[i];
  }
}

template <class T>
struct TileOut {
  std::int64_t row, rows, column, columns;
  T alpha, beta;
  const TensorView& c_MN;
  const TensorView& bias_N;
};

template <class T, class D>
PANTHER_VECTORISED void store_tile(const TileOut<T>& out, const T* tile) {
  const std::int64_t row_stride = out.c_MN.strides[0], column_stride = out.c_MN.strides[1];
  D* c = static_cast<D*>(out.c_MN.data) + out.row * row_stride + out.column * column_stride;
  T bias[kTileN] = {};
  if (out.bias_N.data != nullptr) {
    for (std::int64_t j = 0; j < out.columns; ++j) {
      bias[j] = convert<T>(static_cast<const D*>(out.bias_N.data)[(out.column + j) * out.bias_N.strides[0]]);
    }
  }
  for (std::int64_t i = 0; i < out.rows; ++i) {
    const T* row = tile + i * kTileN;
    D* target = c + i * row_stride;
    if (out.beta != T{0}) {
      for (std::int64_t j = 0; j < out.columns; ++j) {
        D& entry = target[j * column_stride];
        entry = convert<D>(out.alpha * row[j] + out.beta * convert<T>(entry) + bias[j]);
      }
    } else if (column_stride == 1) {
      for (std::int64_t j = 0; j < out.columns; ++j) target[j] = convert<D>(out.alpha * row[j] + bias[j]);
    } else {
      for (std::int64_t j = 0; j < out.columns; ++j) target[j * column_stride] = convert<D>(out.alpha * row[j] + bias[j]);
    }
  }
}

template <class T>
void store(const TileOut<T>& out, const T* tile) {
  switch (out.c_MN.dtype) {
    case DType::f64: return store_tile<T, double>(out, tile);
    case DType::f32: return store_tile<T, float>(out, tile);
    case DType::bf16: return store_tile<T, Bf16>(out, tile);
    case DType::f16: return store_tile<T, F16>(out, tile);
    case DType::i64: case DType::i32: case DType::u8: return;
  }
}

template <class T>
void compute_tile(const PackedProduct<T>& product, const TileOut<T>& out) {
  constexpr int width = kPanelColumns<T>;
  alignas(64) T tile[kTileM * kTileN];
  alignas(64) T a_panel[kTileM * kTileK];
  alignas(64) T b_panel[kTileK * kTileN];
  std::fill(tile, tile + kTileM * kTileN, T{0});
  for (std::int64_t k = 0; k < product.depth; k += kTileK) {
    const std::int64_t depth = std::min(kTileK, product.depth - k);
    product.a.pack(product.a, out.row, out.rows, k, depth, a_panel);
    const T* b = b_panel;
    if (product.packed_b != nullptr) b = product.packed_b + k * product.packed_columns + out.column * depth;
    else product.b.pack(product.b, out.column, out.columns, k, depth, b_panel);
    for (std::int64_t j = 0; j < out.columns; j += width) {
      for (std::int64_t i = 0; i < out.rows; i += kPanelRows) {
        multiply_slivers(a_panel + i * depth, b + j * depth, depth, tile + i * kTileN + j, kTileN);
      }
    }
  }
  store(out, tile);
}

}  // namespace

template <class T>
PanelSource<T> rows_of(const TensorView& a_MK) {
  return source_of<T, kPanelRows>(a_MK.data, a_MK.dtype, a_MK.strides[0], a_MK.strides[1]);
}

template <class T>
PanelSource<T> columns_of(const TensorView& b_KN) {
  return source_of<T, kPanelColumns<T>>(b_KN.data, b_KN.dtype, b_KN.strides[1], b_KN.strides[0]);
}

template <class T>
void packed_gemm(const PackedProduct<T>& product) {
  if (product.rows == 0 || product.columns == 0) return;
  std::int64_t tile_n = kTileN;
  const std::int64_t row_tiles = (product.rows + kTileM - 1) / kTileM;
  // Few tiles would leave threads idle; narrower ones change no result.
  while (tile_n > 32 && row_tiles * ((product.columns + tile_n - 1) / tile_n) < 8) tile_n /= 2;
  const std::int64_t column_tiles = (product.columns + tile_n - 1) / tile_n;
  const std::int64_t work = product.rows * product.columns * (product.depth + 8) / 8;
  parallel_for(row_tiles * column_tiles, work, [&](std::int64_t index) {
    const std::int64_t row = index / column_tiles * kTileM, column = index % column_tiles * tile_n;
    compute_tile(product, TileOut<T>{row, std::min(kTileM, product.rows - row), column, std::min(tile_n, product.columns - column), product.alpha,
                                     product.beta, product.c_MN, product.bias_N});
  });
}

template PanelSource<float> rows_of<float>(const TensorView&);
template PanelSource<double> rows_of<double>(const TensorView&);
template PanelSource<float> columns_of<float>(const TensorView&);
template PanelSource<double> columns_of<double>(const TensorView&);
template void packed_gemm<float>(const PackedProduct<float>&);
template void packed_gemm<double>(const PackedProduct<double>&);

}  // namespace panther::cpu
