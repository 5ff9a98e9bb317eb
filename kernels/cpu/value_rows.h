#pragma once
// Rows of a factor as numbers: stored ones converted, signs expanded from bits or made from their key.
#include "kernels/linear/linear_kernels.h"

namespace panther::cpu {

/// The values' own memory when they are contiguous numbers of type T, else nullptr. `row` counts through the stack.
template <class T> const T* stored_row(const StackedRows& rows, std::int64_t row, std::int64_t first);

/// out[i * out_stride + e] = value(row + i, first + e) for i < count, e < length. For signs, first % 64 == 0 and length <= 512.
template <class T>
void fetch_rows(const StackedRows& rows, std::int64_t row, std::int64_t count, std::int64_t first, std::int64_t length, T* out, std::int64_t out_stride);

/// Rows of a plain matrix.
inline StackedRows rows_of_view(const TensorView& view) { return {{view.shape[0], view, {}, {}}, {}}; }

}  // namespace panther::cpu
