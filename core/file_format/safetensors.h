#pragma once
// The safetensors format: u64 little-endian header length, JSON header, raw data. Names, dtypes, shapes and byte
// ranges only; no tensors. Reads what the Python package writes and back (F64 F32 BF16 F16 I64 I32 U8).
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/dtype.h"
#include "core/export.h"

namespace panther {

struct SafetensorsEntry {
  std::string name;
  DType dtype = DType::f32;
  std::vector<std::int64_t> shape;
  std::span<const std::byte> bytes;  ///< contiguous, row-major, little-endian
};

/// Header length and header: what stands before the entries' bytes, which follow in order without gaps. For writers that make the bytes piece by
/// piece: only the sizes of the entries' spans are used.
PANTHER_CORE_API std::string make_safetensors_preamble(std::span<const SafetensorsEntry> entries, const std::map<std::string, std::string>& metadata = {});

/// Writes a file durably at `path` (which must not be a live file: checkpoints write into a temporary folder).
/// Data starts 64-byte aligned; entries keep their order and follow each other without gaps, so an entry after one of odd
/// length is not aligned to its element: copy out of a mapped file, never cast. On a throw no file is left. Returns the CRC-32C of the
/// whole file. Throws Io, InvalidArgument.
PANTHER_CORE_API std::uint32_t write_safetensors(const std::filesystem::path& path, std::span<const SafetensorsEntry> entries,
                                                 const std::map<std::string, std::string>& metadata = {});

/// A memory-mapped file. Spans stay valid while the object lives. Every header field is checked against the file size
/// before use: any truncation or damage of structure throws Corrupt with path and place. A file that cannot be opened
/// throws Io; an element type of the format that Panther lacks, Unsupported. Entries come in the order of their bytes.
class PANTHER_CORE_API SafetensorsFile {
 public:
  explicit SafetensorsFile(const std::filesystem::path& path);
  ~SafetensorsFile();
  SafetensorsFile(SafetensorsFile&&) noexcept;
  SafetensorsFile& operator=(SafetensorsFile&&) noexcept;

  const std::vector<SafetensorsEntry>& entries() const noexcept;
  /// nullptr when absent.
  const SafetensorsEntry* find(std::string_view name) const noexcept;
  const std::map<std::string, std::string>& metadata() const noexcept;
  /// The whole file, for checksums.
  std::span<const std::byte> bytes() const noexcept;
  /// Pages within `part` may leave memory (MappedFile::release).
  void release(std::span<const std::byte> part) const noexcept;

 private:
  struct Mapping;
  std::unique_ptr<Mapping> mapping_;
};

}  // namespace panther
