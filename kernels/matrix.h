#pragma once
// A matrix that owns its memory: what the decompositions return.
#include <memory>

#include "kernels/allocator.h"
#include "kernels/export.h"

namespace panther {

/// Column-major (LAPACK's order), uninitialised, movable. A vector is a matrix of one column. Empty by default.
class PANTHER_KERNELS_API Matrix {
 public:
  Matrix() = default;
  /// Throws OutOfMemory naming the shape; InvalidArgument for negative sizes.
  Matrix(Allocator& allocator, Device device, Stream stream, DType dtype, std::int64_t rows, std::int64_t columns);

  std::int64_t rows() const noexcept { return view_.shape[0]; }
  std::int64_t columns() const noexcept { return view_.shape[1]; }
  bool empty() const noexcept { return rows() == 0 || columns() == 0; }
  /// [rows, columns], strides {1, max(rows, 1)}.
  const TensorView& view() const noexcept { return view_; }
  /// Columns [begin, begin + count), rows [first, first + rows) of the view; memory stays with this.
  TensorView columns_from(std::int64_t begin, std::int64_t count) const noexcept;
  TensorView block(std::int64_t first_row, std::int64_t rows, std::int64_t first_column, std::int64_t columns) const noexcept;
  /// One column as a 1-d view.
  TensorView column(std::int64_t index) const noexcept;

 private:
  std::unique_ptr<Workspace> memory_;
  TensorView view_;
};

}  // namespace panther
