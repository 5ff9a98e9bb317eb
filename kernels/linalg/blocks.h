#pragma once
// Parts of matrices and small copies between host and device: what every decomposition needs around the kernels.
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "kernels/linalg/context.h"
#include "kernels/linalg/lapack_kernels.h"
#include "kernels/matrix.h"

namespace panther::linalg {

/// Rows [first_row, first_row + rows) and columns [first_column, first_column + columns) of a matrix.
inline TensorView block(const TensorView& a, std::int64_t first_row, std::int64_t rows, std::int64_t first_column, std::int64_t columns) noexcept {
  return a.slice(first_row, rows).transposed().slice(first_column, columns).transposed();
}
inline TensorView columns(const TensorView& a, std::int64_t first, std::int64_t count) noexcept { return block(a, 0, a.shape[0], first, count); }
/// The first `count` entries of the diagonal, as a strided vector.
TensorView diagonal(const TensorView& a, std::int64_t count) noexcept;
/// The first `count` entries of a vector held as a matrix of one column.
TensorView head(const TensorView& vector, std::int64_t count) noexcept;

/// The table, or Unsupported naming the CMake option.
const LapackKernels& lapack_of(const Context& context);

Matrix make_matrix(const Context& context, const TensorView& like, std::int64_t rows, std::int64_t columns);
Matrix make_matrix(const Context& context, const TensorView& like, DType dtype, std::int64_t rows, std::int64_t columns);
/// A column-major copy, converted to `dtype`.
Matrix copy_of(const Context& context, const TensorView& a, DType dtype);
inline Matrix copy_of(const Context& context, const TensorView& a) { return copy_of(context, a, a.dtype); }

/// A vector (any stride, any floating dtype) on the host, when the stream is done.
std::vector<double> to_host(const Context& context, const TensorView& vector);

/// rows x columns of the context's seed; `nonzeros` of sparse kinds is cut to what fits.
std::unique_ptr<SketchOperator> make_row_sketch(const Context& context, const std::string& kind, std::int64_t rows, std::int64_t columns,
                                                const std::string& name, std::int64_t nonzeros, std::uint32_t epoch = 0);

/// Sums over ranks, and does nothing in one process. `view` is contiguous by rows or by columns.
void sum_over_ranks(const Context& context, const TensorView& view);

/// 2^-53 or 2^-24.
double unit_roundoff(DType dtype) noexcept;

/// f32 or f64, two dimensions, sizes that are not negative; throws InvalidArgument naming `routine`.
void require_input(const Context& context, const TensorView& a, const char* routine);
/// Throws InvalidArgument when `sketch` (every row of a enters it) is not finite, saying whether a holds nan or infinity or overflowed.
void require_finite(const Context& context, const TensorView& a, const TensorView& sketch, const char* routine);

}  // namespace panther::linalg
