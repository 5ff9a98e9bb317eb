#pragma once
// One matrix of a file, memory-mapped: a 2-d .npy array, or a 2-d tensor of a .safetensors file by name.
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "core/dtype.h"
#include "core/export.h"

namespace panther {

/// What a file's element is and where it lies. Strides in elements.
struct MatrixLayout {
  DType dtype = DType::f64;
  std::int64_t rows = 0;
  std::int64_t columns = 0;
  std::int64_t row_stride = 0;
  std::int64_t column_stride = 0;
  bool vector = false;  ///< 1-d in the file
};

class PANTHER_CORE_API MatrixFile {
 public:
  struct Options {
    std::string tensor = {};      ///< of a .safetensors file; may be left out when the file has one tensor
    bool vector_allowed = false;  ///< 1-d arrays then count as one column
  };
  /// The extension decides. Throws InvalidArgument (extension, a missing or needless tensor name with the names there are, not 2-d), and
  /// what NpyFile and SafetensorsFile throw.
  MatrixFile(const std::filesystem::path& path, const Options& options);
  ~MatrixFile();
  MatrixFile(MatrixFile&&) noexcept;

  const std::filesystem::path& path() const noexcept;
  const MatrixLayout& layout() const noexcept;
  /// All elements, in file order. Element (i, j) begins at (i row_stride + j column_stride) times the element's size; with no alignment
  /// promised.
  std::span<const std::byte> bytes() const noexcept;
  /// Copies rows [first, first + count) to `out`, row-major, elements as in the file (count * columns * size bytes).
  void copy_rows(std::int64_t first, std::int64_t count, std::byte* out) const;
  /// The pages of these rows may leave memory. Row-major files only; otherwise nothing happens.
  void release_rows(std::int64_t first, std::int64_t count) const noexcept;

 private:
  struct Source;
  std::unique_ptr<Source> source_;
};

}  // namespace panther
