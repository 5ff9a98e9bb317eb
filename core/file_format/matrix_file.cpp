#include "core/file_format/matrix_file.h"

#include <cstring>
#include <variant>

#include "core/error.h"
#include "core/file_format/npy.h"
#include "core/file_format/safetensors.h"

namespace panther {

struct MatrixFile::Source {
  std::filesystem::path path;
  std::variant<NpyFile, SafetensorsFile> file;
  MatrixLayout layout;
  std::span<const std::byte> bytes;
};

namespace {

MatrixLayout layout_of(const std::string& what, DType dtype, const std::vector<std::int64_t>& shape, bool fortran_order,
                       bool vector_allowed) {
  PANTHER_REQUIRE(shape.size() == 2 || (vector_allowed && shape.size() == 1), what, " has ", shape.size(), " dimensions, shape (",
                  join(shape), "); a matrix has 2: reshape it before storing, in Python: a.reshape(rows, -1)");
  const std::int64_t rows = shape[0], columns = shape.size() == 2 ? shape[1] : 1;
  const bool vector = shape.size() == 1;
  if (fortran_order) return {dtype, rows, columns, 1, rows, vector};
  return {dtype, rows, columns, columns, 1, vector};
}

std::string names_of(const SafetensorsFile& file) {
  std::vector<std::string> names;
  for (const SafetensorsEntry& entry : file.entries()) names.push_back(concat(entry.name, " (", join(entry.shape, " x "), ")"));
  return join_first(std::move(names), 20);
}

const SafetensorsEntry& choose(const SafetensorsFile& file, const std::string& path, const std::string& wanted) {
  PANTHER_REQUIRE(!file.entries().empty(), "'", path, "' holds no tensor");
  if (wanted.empty()) {
    PANTHER_REQUIRE(file.entries().size() == 1, "'", path, "' holds ", file.entries().size(),
                    " tensors; choose one with --tensor NAME out of: ", names_of(file));
    return file.entries().front();
  }
  const SafetensorsEntry* found = file.find(wanted);
  PANTHER_REQUIRE(found != nullptr, "'", path, "' holds no tensor '", wanted, "'; it has: ", names_of(file));
  return *found;
}

}  // namespace

MatrixFile::MatrixFile(const std::filesystem::path& path, const Options& options) {
  const std::string extension = path.extension().string();
  if (extension == ".npy") {
    PANTHER_REQUIRE(options.tensor.empty(), "'", path.string(),
                    "' is a .npy file, which holds one array without a name: leave --tensor out");
    source_ = std::make_unique<Source>(Source{path, NpyFile(path), {}, {}});
    const NpyFile& file = std::get<NpyFile>(source_->file);
    source_->layout = layout_of(concat("'", path.string(), "'"), file.header().dtype, file.header().shape, file.header().fortran_order,
                                options.vector_allowed);
    source_->bytes = file.bytes();
    return;
  }
  PANTHER_REQUIRE(extension == ".safetensors", "'", path.string(), "' ends in '", extension,
                  "'; matrices are read from .npy (numpy.save) and .safetensors files");
  source_ = std::make_unique<Source>(Source{path, SafetensorsFile(path), {}, {}});
  const SafetensorsEntry& entry = choose(std::get<SafetensorsFile>(source_->file), path.string(), options.tensor);
  source_->layout =
      layout_of(concat("tensor '", entry.name, "' of '", path.string(), "'"), entry.dtype, entry.shape, false, options.vector_allowed);
  source_->bytes = entry.bytes;
}

MatrixFile::~MatrixFile() = default;
MatrixFile::MatrixFile(MatrixFile&&) noexcept = default;

const std::filesystem::path& MatrixFile::path() const noexcept { return source_->path; }
const MatrixLayout& MatrixFile::layout() const noexcept { return source_->layout; }
std::span<const std::byte> MatrixFile::bytes() const noexcept { return source_->bytes; }

void MatrixFile::copy_rows(std::int64_t first, std::int64_t count, std::byte* out) const {
  const MatrixLayout& layout = source_->layout;
  PANTHER_REQUIRE(first >= 0 && count >= 0 && first + count <= layout.rows, "rows ", first, " to ", first + count, " of a matrix of ",
                  layout.rows);
  const auto size = static_cast<std::int64_t>(size_of(layout.dtype));
  const std::byte* data = source_->bytes.data();
  if (count * layout.columns == 0) return;
  if (layout.column_stride == 1) {
    std::memcpy(out, data + first * layout.row_stride * size, static_cast<std::size_t>(count * layout.columns * size));
    return;
  }
  for (std::int64_t j = 0; j < layout.columns; ++j) {
    const std::byte* column = data + (j * layout.column_stride + first) * size;
    for (std::int64_t i = 0; i < count; ++i)
      std::memcpy(out + (i * layout.columns + j) * size, column + i * size, static_cast<std::size_t>(size));
  }
}

void MatrixFile::release_rows(std::int64_t first, std::int64_t count) const noexcept {
  const MatrixLayout& layout = source_->layout;
  if (layout.column_stride != 1) return;
  const auto row_bytes = static_cast<std::size_t>(layout.columns) * size_of(layout.dtype);
  const auto part = source_->bytes.subspan(static_cast<std::size_t>(first) * row_bytes, static_cast<std::size_t>(count) * row_bytes);
  std::visit([&](const auto& file) { file.release(part); }, source_->file);
}

}  // namespace panther
