#include "kernels/matrix.h"

#include <algorithm>

#include "core/error.h"

namespace panther {
namespace {

TensorView column_major(void* data, DType dtype, std::int64_t rows, std::int64_t columns, Device device) {
  TensorView view(data, dtype, {rows, columns}, device);
  view.strides[0] = 1;
  view.strides[1] = std::max<std::int64_t>(rows, 1);
  return view;
}

}  // namespace

Matrix::Matrix(Allocator& allocator, Device device, Stream stream, DType dtype, std::int64_t rows, std::int64_t columns) {
  PANTHER_REQUIRE(rows >= 0 && columns >= 0, "a matrix of ", rows, " x ", columns, " cannot be");
  const std::size_t bytes = static_cast<std::size_t>(rows) * static_cast<std::size_t>(columns) * size_of(dtype);
  memory_ = std::make_unique<Workspace>(allocator, bytes, device, stream);
  view_ = column_major(memory_->data(), dtype, rows, columns, device);
}

TensorView Matrix::columns_from(std::int64_t begin, std::int64_t count) const noexcept { return block(0, rows(), begin, count); }

TensorView Matrix::block(std::int64_t first_row, std::int64_t row_count, std::int64_t first_column, std::int64_t column_count) const noexcept {
  return view_.slice(first_row, row_count).transposed().slice(first_column, column_count).transposed();
}

TensorView Matrix::column(std::int64_t index) const noexcept {
  TensorView result = columns_from(index, 1);
  result.dims = 1;
  return result;
}

}  // namespace panther
