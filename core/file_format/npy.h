#pragma once
// NumPy's .npy format, versions 1, 2 and 3 (numpy.lib.format): magic, version, header length, a Python dict with descr, fortran_order and
// shape, then the raw array. One array per file. Element types f64 f32 f16 i64 i32 u8, little-endian.
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/atomic_file.h"
#include "core/dtype.h"
#include "core/export.h"
#include "core/file_format/mapped_file.h"

namespace panther {

struct NpyHeader {
  DType dtype = DType::f64;
  bool fortran_order = false;  ///< the first index runs fastest
  std::vector<std::int64_t> shape;
  std::size_t data_offset = 0;  ///< from the begin of the file
  PANTHER_CORE_API std::size_t data_bytes() const noexcept;
};

/// `file` is the whole file, `name` its name for messages. InvalidArgument: not a .npy file. Corrupt: cut or damaged. Unsupported: an
/// element type (also big-endian ones) or a version that we lack, with what to do.
PANTHER_CORE_API NpyHeader parse_npy_header(std::span<const std::byte> file, std::string_view name);

/// Everything before the data, a multiple of 64 bytes. Version 1 always holds it. Throws Unsupported for bf16, which NumPy does not have.
PANTHER_CORE_API std::string make_npy_header(DType dtype, std::span<const std::int64_t> shape, bool fortran_order);

/// A memory-mapped array. Throws what parse_npy_header throws, and Io.
class PANTHER_CORE_API NpyFile {
 public:
  explicit NpyFile(const std::filesystem::path& path);
  const NpyHeader& header() const noexcept { return header_; }
  /// The array's bytes, in the order header() says; valid while this lives.
  std::span<const std::byte> bytes() const noexcept { return file_.bytes().subspan(header_.data_offset, header_.data_bytes()); }
  void release(std::span<const std::byte> part) const noexcept { file_.release(part); }

 private:
  MappedFile file_;
  NpyHeader header_;
};

/// Writes an array in pieces, in the order of its bytes; the file appears whole or not at all.
class PANTHER_CORE_API NpyWriter {
 public:
  NpyWriter(const std::filesystem::path& path, DType dtype, std::vector<std::int64_t> shape, bool fortran_order = false);
  /// Any number of bytes. Throws Io, and InvalidArgument when more come than the shape has.
  void append(std::span<const std::byte> bytes);
  const AtomicFile& file() const noexcept { return file_; }
  /// On the disk, not yet under its name. Throws InvalidArgument when bytes are missing.
  void flush();
  void commit();

 private:
  AtomicFile file_;
  std::size_t left_ = 0;
};

/// All at once. `bytes` must fit shape and dtype.
PANTHER_CORE_API void write_npy(const std::filesystem::path& path, DType dtype, std::vector<std::int64_t> shape,
                                std::span<const std::byte> bytes, bool fortran_order = false);

}  // namespace panther
