#pragma once
// The bytes of a file, mapped read-only: pages come from the disk when they are touched, so a file may be larger than memory.
#include <cstddef>
#include <filesystem>
#include <span>

#include "core/export.h"

namespace panther {

/// Spans stay valid while the object lives. A file that shrinks while it is mapped kills the process that reads it (SIGBUS).
class PANTHER_CORE_API MappedFile {
 public:
  /// Throws Io for what cannot be opened or is not a regular file.
  explicit MappedFile(const std::filesystem::path& path);
  ~MappedFile();
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&&) = delete;
  std::span<const std::byte> bytes() const noexcept { return {static_cast<const std::byte*>(data_), size_}; }
  /// The pages that lie whole within `part` may leave memory; they are read again when touched.
  void release(std::span<const std::byte> part) const noexcept;

 private:
  void* data_ = nullptr;  // nullptr for an empty file, which cannot be mapped
  std::size_t size_ = 0;
};

}  // namespace panther
