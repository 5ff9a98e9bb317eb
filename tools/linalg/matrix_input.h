#pragma once
// A matrix of a file as the decompositions want it: in f32 or f64, checked for nan and infinities, whole or in blocks of rows.
#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "core/file_format/matrix_file.h"
#include "kernels/matrix.h"

namespace panther::tools {

class MatrixInput {
 public:
  /// `dtype`: f32 or f64; nullopt: f32 for f32, f16 and bf16 files, else f64. Throws what MatrixFile throws, and InvalidArgument for a
  /// matrix without elements.
  MatrixInput(const std::filesystem::path& path, const MatrixFile::Options& options, std::optional<DType> dtype);

  const MatrixFile& file() const noexcept { return file_; }
  const MatrixFile::Options& options() const noexcept { return options_; }
  std::int64_t rows() const noexcept { return file_.layout().rows; }
  std::int64_t columns() const noexcept { return file_.layout().columns; }
  DType dtype() const noexcept { return dtype_; }
  /// In memory, as dtype().
  std::int64_t bytes() const noexcept { return rows() * columns() * static_cast<std::int64_t>(size_of(dtype_)); }

  /// out = rows [first, first + out.shape[0]). out: host, dtype(), any strides. Throws InvalidArgument naming row and column of the first
  /// element that is nan or infinite.
  void read_rows(std::int64_t first, const TensorView& out) const;
  /// All of it, column-major, on the device.
  Matrix load(Allocator& allocator, Device device) const;
  /// Calls `body` with consecutive blocks of at most `block_rows` rows (row-major, host, valid during the call). Their pages of the file
  /// leave memory afterwards, so a matrix may be larger than memory.
  void for_each_block(std::int64_t block_rows, const std::function<void(std::int64_t first, const TensorView& rows)>& body) const;
  /// The same with blocks on `device`.
  void for_each_block(std::int64_t block_rows, Device device,
                      const std::function<void(std::int64_t first, const TensorView& rows)>& body) const;

 private:
  MatrixFile::Options options_;
  MatrixFile file_;
  DType dtype_;
};

/// destination (host) = source (host or device), converted where the dtypes differ; equal shapes, any strides.
void copy_to_host(const TensorView& source, const TensorView& destination);

}  // namespace panther::tools
