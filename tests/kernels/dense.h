#pragma once
// f64 matrices in host memory with textbook loops: what the factorizations are compared with. No BLAS, so independent of what is tested.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <span>
#include <vector>

#include "kernels/matrix.h"
#include "tests/kernels/array.h"

namespace panther::test {

struct Dense {
  std::int64_t rows = 0, columns = 0;
  std::vector<double> values;  ///< column-major

  Dense() = default;
  Dense(std::int64_t m, std::int64_t n) : rows(m), columns(n), values(static_cast<std::size_t>(m * n)) {}
  double& operator()(std::int64_t i, std::int64_t j) { return values[static_cast<std::size_t>(i + j * rows)]; }
  double operator()(std::int64_t i, std::int64_t j) const { return values[static_cast<std::size_t>(i + j * rows)]; }
  double* column(std::int64_t j) { return values.data() + j * rows; }
  const double* column(std::int64_t j) const { return values.data() + j * rows; }
};

inline Dense identity(std::int64_t n) {
  Dense result(n, n);
  for (std::int64_t i = 0; i < n; ++i) result(i, i) = 1;
  return result;
}

inline Dense transposed(const Dense& a) {
  Dense result(a.columns, a.rows);
  for (std::int64_t j = 0; j < a.columns; ++j) {
    for (std::int64_t i = 0; i < a.rows; ++i) result(j, i) = a(i, j);
  }
  return result;
}

inline Dense multiply(const Dense& a, const Dense& b) {
  Dense result(a.rows, b.columns);
  for (std::int64_t j = 0; j < b.columns; ++j) {
    double* out = result.column(j);
    for (std::int64_t k = 0; k < a.columns; ++k) {
      const double factor = b(k, j);
      const double* in = a.column(k);
      if (factor == 0) continue;
      for (std::int64_t i = 0; i < a.rows; ++i) out[i] += factor * in[i];
    }
  }
  return result;
}

/// a^T b
inline Dense multiply_transposed(const Dense& a, const Dense& b) { return multiply(transposed(a), b); }

inline Dense subtract(Dense a, const Dense& b) {
  for (std::size_t i = 0; i < a.values.size(); ++i) a.values[i] -= b.values[i];
  return a;
}

inline Dense scaled(Dense a, double factor) {
  for (double& value : a.values) value *= factor;
  return a;
}

/// Frobenius norm, scaled so that 1e+-200 neither overflow nor vanish.
inline double norm(const Dense& a) {
  double largest = 0, sum = 0;
  for (const double value : a.values) largest = std::max(largest, std::abs(value));
  if (largest == 0 || !std::isfinite(largest)) return largest;
  for (const double value : a.values) sum += (value / largest) * (value / largest);
  return largest * std::sqrt(sum);
}

inline Dense upper_triangle(Dense a) {
  for (std::int64_t j = 0; j < a.columns; ++j) std::fill(a.column(j) + std::min(j + 1, a.rows), a.column(j) + a.rows, 0.0);
  return a;
}

inline Dense take_columns(const Dense& a, std::span<const std::int64_t> columns) {
  Dense result(a.rows, static_cast<std::int64_t>(columns.size()));
  for (std::int64_t j = 0; j < result.columns; ++j) std::copy_n(a.column(columns[static_cast<std::size_t>(j)]), a.rows, result.column(j));
  return result;
}

inline Dense block(const Dense& a, std::int64_t first_row, std::int64_t rows, std::int64_t first_column, std::int64_t columns) {
  Dense result(rows, columns);
  for (std::int64_t j = 0; j < columns; ++j) std::copy_n(a.column(first_column + j) + first_row, rows, result.column(j));
  return result;
}

/// ||Q^T Q - I||_F
inline double orthogonality(const Dense& q) { return norm(subtract(multiply_transposed(q, q), identity(q.columns))); }

inline Dense dense_of(const TensorView& view) {
  const bool vector = view.dims == 1;
  Dense result(view.shape[0], vector ? 1 : view.shape[1]);
  for (std::int64_t j = 0; j < result.columns; ++j) {
    for (std::int64_t i = 0; i < result.rows; ++i) result(i, j) = load(view.data, view.dtype, i * view.strides[0] + (vector ? 0 : j * view.strides[1]));
  }
  return result;
}

inline void copy_to(const Dense& a, const TensorView& view) {
  for (std::int64_t j = 0; j < a.columns; ++j) {
    for (std::int64_t i = 0; i < a.rows; ++i) store(view.data, view.dtype, i * view.strides[0] + j * view.strides[1], a(i, j));
  }
}

/// Rounded to the dtype.
inline Matrix matrix_of(const Dense& a, DType dtype) {
  Matrix result(plain_allocator(), Device{}, Stream{}, dtype, a.rows, a.columns);
  copy_to(a, result.view());
  return result;
}

inline Dense rounded(const Dense& a, DType dtype) { return dtype == DType::f64 ? a : dense_of(matrix_of(a, dtype).view()); }

}  // namespace panther::test
