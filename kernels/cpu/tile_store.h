#pragma once
// The end of a product's tile: alpha, beta, bias, activation, one rounding.
#include "kernels/linear/linear_kernels.h"

namespace panther::cpu {

template <class T>
struct TileTarget {
  T alpha = 1, beta = 0;
  TensorView out;
  LinearEpilogue epilogue;
};

/// out[row + i, column + j] = epilogue(alpha * sums[i * stride + j] + beta * out) for i < rows, j < columns <= 512. `sums` is overwritten.
template <class T>
void store_tile(const TileTarget<T>& target, std::int64_t row, std::int64_t rows, std::int64_t column, std::int64_t columns, T* sums,
                std::int64_t stride);

}  // namespace panther::cpu
