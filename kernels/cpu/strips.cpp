#include "kernels/cpu/strips.h"

#include <algorithm>
#include <cstring>
#include <type_traits>

#include "core/error.h"
#include "kernels/cpu/transpose.h"
#include "kernels/cpu/vectorised.h"
#include "kernels/element/convert.h"

namespace panther::cpu {
namespace {

/// Bytes ahead that are asked for, in rows: a row's piece is too short for the processor to see a stream in it.
constexpr std::int64_t kAheadBytes = 4096;
/// Rows transposed at a time: their pieces of a column are whole cache lines, used up at once.
constexpr std::int64_t kTransposedRows = 64;

/// Rows of `count` contiguous elements, spread over tiles of `lanes`.
template <class T, class E>
PANTHER_VECTORISED void load_rows(const E* source, std::int64_t stride, std::int64_t rows, std::int64_t count, int lanes, std::int64_t tile_step, T* tile) {
  constexpr std::int64_t line = 64 / static_cast<std::int64_t>(sizeof(E));
  const std::int64_t ahead_rows = std::max<std::int64_t>(1, kAheadBytes / (count * static_cast<std::int64_t>(sizeof(E))));
  for (std::int64_t r = 0; r < rows; ++r) {
    const E* ahead = source + std::min(r + ahead_rows, rows - 1) * stride;
    const E* from = source + r * stride;
    T* to = tile + r * lanes;
    for (std::int64_t first = 0; first < count; first += lanes, to += tile_step) {
      for (std::int64_t w = first; w < std::min<std::int64_t>(count, first + lanes); w += line) __builtin_prefetch(ahead + w, 0, 2);
      if (count - first >= kWideLanes<T> && lanes == kWideLanes<T>) {
        for (int w = 0; w < kWideLanes<T>; ++w) to[w] = convert<T>(from[first + w]);
      } else {
        for (std::int64_t w = first; w < std::min<std::int64_t>(count, first + lanes); ++w) to[w - first] = convert<T>(from[w]);
      }
    }
  }
}

template <class T, class E>
PANTHER_VECTORISED void load_columns(const E* source, std::int64_t row_stride, std::int64_t column_stride, std::int64_t rows, std::int64_t count, int lanes,
                                     T* tile) {
  for (std::int64_t first = 0; first < rows; first += kTransposedRows) {
    const std::int64_t end = std::min(rows, first + kTransposedRows);
    std::int64_t fours = 0, whole = first;
    if constexpr (std::is_same_v<T, E>) {
      if (row_stride == 1) {
        fours = count / 4 * 4;
        whole = first + (end - first) / 4 * 4;
        for (std::int64_t w = 0; w < fours; w += 4) {
          for (std::int64_t r = first; r < whole; r += 4) transpose_four(source + w * column_stride + r, column_stride, tile + r * lanes + w, lanes);
        }
      }
    }
    for (std::int64_t w = 0; w < count; ++w) {
      for (std::int64_t r = w < fours ? whole : first; r < end; ++r) tile[r * lanes + w] = convert<T>(source[r * row_stride + w * column_stride]);
    }
  }
}

/// Where strips go.
template <class T>
struct Tiles {
  T* tile;
  std::int64_t step;
  std::int64_t strips;
  int lanes;
};

template <class T, class E>
void load(const TensorView& a, std::int64_t row, std::int64_t rows, std::int64_t column, const Tiles<T>& to) {
  const E* source = a.as<const E>() + row * a.strides[0] + column * a.strides[1];
  const std::int64_t count = std::min(to.strips * to.lanes, a.shape[1] - column);
  if (count < to.strips * to.lanes) {
    T* last = to.tile + (to.strips - 1) * to.step;
    std::fill(last, last + rows * to.lanes, T{0});
  }
  if (a.strides[1] == 1 && to.lanes > 1) return load_rows<T, E>(source, a.strides[0], rows, count, to.lanes, to.step, to.tile);
  for (std::int64_t s = 0; s < to.strips; ++s) {
    const std::int64_t own = std::min<std::int64_t>(to.lanes, count - s * to.lanes);
    load_columns<T, E>(source + s * to.lanes * a.strides[1], a.strides[0], a.strides[1], rows, own, to.lanes, to.tile + s * to.step);
  }
}

template <class T, class E>
[[gnu::always_inline]] inline E blend(T alpha, T value, T beta, E former) {
  return convert<E>(beta == T{0} ? alpha * value : alpha * value + beta * convert<T>(former));
}

template <class T, class E>
PANTHER_VECTORISED void store_rows(const T* tile, int lanes, T alpha, T beta, std::int64_t rows, std::int64_t count, E* out, std::int64_t stride) {
  for (std::int64_t r = 0; r < rows; ++r) {
    const T* from = tile + r * lanes;
    E* to = out + r * stride;
    if (beta == T{0}) {
      for (std::int64_t w = 0; w < count; ++w) to[w] = convert<E>(alpha * from[w]);
    } else {
      for (std::int64_t w = 0; w < count; ++w) to[w] = blend<T, E>(alpha, from[w], beta, to[w]);
    }
  }
}

template <class T, class E>
PANTHER_VECTORISED void store_columns(const T* tile, int lanes, T alpha, T beta, std::int64_t rows, std::int64_t count, E* out, std::int64_t row_stride,
                                      std::int64_t column_stride) {
  for (std::int64_t first = 0; first < rows; first += kTransposedRows) {
    const std::int64_t end = std::min(rows, first + kTransposedRows);
    std::int64_t fours = 0, whole = first;
    if constexpr (std::is_same_v<T, E>) {
      if (row_stride == 1 && beta == T{0} && alpha == T{1}) {
        fours = count / 4 * 4;
        whole = first + (end - first) / 4 * 4;
        for (std::int64_t w = 0; w < fours; w += 4) {
          for (std::int64_t r = first; r < whole; r += 4) transpose_four(tile + r * lanes + w, lanes, out + w * column_stride + r, column_stride);
        }
      }
    }
    for (std::int64_t w = 0; w < count; ++w) {
      for (std::int64_t r = w < fours ? whole : first; r < end; ++r) {
        E& to = out[r * row_stride + w * column_stride];
        to = beta == T{0} ? convert<E>(alpha * tile[r * lanes + w]) : blend<T, E>(alpha, tile[r * lanes + w], beta, to);
      }
    }
  }
}

template <class T, class E>
void store(const T* tile, T alpha, T beta, const TensorView& out, std::int64_t row, std::int64_t rows, std::int64_t column, std::int64_t count, int lanes) {
  E* to = out.as<E>() + row * out.strides[0] + column * out.strides[1];
  if (out.strides[1] == 1 && lanes > 1) return store_rows<T, E>(tile, lanes, alpha, beta, rows, count, to, out.strides[0]);
  store_columns<T, E>(tile, lanes, alpha, beta, rows, count, to, out.strides[0], out.strides[1]);
}

}  // namespace

template <class T>
void load_strips(const TensorView& a, std::int64_t row, std::int64_t rows, std::int64_t column, int lanes, std::int64_t strips, std::int64_t tile_step, T* tile) {
  const Tiles<T> to{tile, tile_step, strips, lanes};
  switch (a.dtype) {
    case DType::f64: return load<T, double>(a, row, rows, column, to);
    case DType::f32: return load<T, float>(a, row, rows, column, to);
    case DType::bf16: return load<T, Bf16>(a, row, rows, column, to);
    case DType::f16: return load<T, F16>(a, row, rows, column, to);
    case DType::i64: case DType::i32: case DType::u8: break;
  }
  PANTHER_CHECK(false, "load_strips: the matrix is not floating");
}

template <class T>
void load_strip(const TensorView& a, std::int64_t row, std::int64_t rows, std::int64_t column, int lanes, T* tile) {
  load_strips(a, row, rows, column, lanes, 1, 0, tile);
}

template <class T>
void store_strip(const T* tile, T alpha, T beta, const TensorView& out, std::int64_t row, std::int64_t rows, std::int64_t column, int lanes) {
  const std::int64_t count = std::min<std::int64_t>(lanes, out.shape[1] - column);
  switch (out.dtype) {
    case DType::f64: return store<T, double>(tile, alpha, beta, out, row, rows, column, count, lanes);
    case DType::f32: return store<T, float>(tile, alpha, beta, out, row, rows, column, count, lanes);
    case DType::bf16: return store<T, Bf16>(tile, alpha, beta, out, row, rows, column, count, lanes);
    case DType::f16: return store<T, F16>(tile, alpha, beta, out, row, rows, column, count, lanes);
    case DType::i64: case DType::i32: case DType::u8: break;
  }
  PANTHER_CHECK(false, "store_strip: the matrix is not floating");
}

void scale_matrix(double beta, const TensorView& out) {
  constexpr std::int64_t kRows = 4;  // as many as a transposed store touches at once
  static constexpr double zeros[kRows * kWideLanes<double>] = {};
  for (std::int64_t row = 0; row < out.shape[0]; row += kRows) {
    const std::int64_t rows = std::min(kRows, out.shape[0] - row);
    for (std::int64_t column = 0; column < out.shape[1]; column += kWideLanes<double>) {
      store_strip(zeros, 1.0, beta, out, row, rows, column, kWideLanes<double>);
    }
  }
}

template void load_strips<float>(const TensorView&, std::int64_t, std::int64_t, std::int64_t, int, std::int64_t, std::int64_t, float*);
template void load_strips<double>(const TensorView&, std::int64_t, std::int64_t, std::int64_t, int, std::int64_t, std::int64_t, double*);
template void load_strip<float>(const TensorView&, std::int64_t, std::int64_t, std::int64_t, int, float*);
template void load_strip<double>(const TensorView&, std::int64_t, std::int64_t, std::int64_t, int, double*);
template void store_strip<float>(const float*, float, float, const TensorView&, std::int64_t, std::int64_t, std::int64_t, int);
template void store_strip<double>(const double*, double, double, const TensorView&, std::int64_t, std::int64_t, std::int64_t, int);

}  // namespace panther::cpu
