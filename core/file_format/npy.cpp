#include "core/file_format/npy.h"

#include "core/error.h"

namespace panther {

NpyFile::NpyFile(const std::filesystem::path& path) : file_(path), header_(parse_npy_header(file_.bytes(), path.string())) {}

NpyWriter::NpyWriter(const std::filesystem::path& path, DType dtype, std::vector<std::int64_t> shape, bool fortran_order) : file_(path) {
  for (const std::int64_t dim : shape) PANTHER_REQUIRE(dim >= 0, "an array of shape (", join(shape), ") cannot be");
  left_ = NpyHeader{dtype, fortran_order, shape, 0}.data_bytes();
  file_.append(make_npy_header(dtype, shape, fortran_order));
}

void NpyWriter::append(std::span<const std::byte> bytes) {
  PANTHER_REQUIRE(bytes.size() <= left_, "'", file_.path().string(), "' gets ", bytes.size() - left_, " bytes more than its shape has");
  file_.append(bytes);
  left_ -= bytes.size();
}

void NpyWriter::flush() {
  PANTHER_REQUIRE(left_ == 0, "'", file_.path().string(), "' lacks ", left_, " bytes of its shape");
  file_.flush();
}

void NpyWriter::commit() {
  flush();
  file_.commit();
}

void write_npy(const std::filesystem::path& path, DType dtype, std::vector<std::int64_t> shape, std::span<const std::byte> bytes,
               bool fortran_order) {
  NpyWriter writer(path, dtype, std::move(shape), fortran_order);
  writer.append(bytes);
  writer.commit();
}

}  // namespace panther
