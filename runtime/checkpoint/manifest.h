#pragma once
// The manifest of a checkpoint as text, and the seal (DONE) over it. Pure: no files.
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/checkpoint/checkpoint.h"

namespace panther::runtime {

inline constexpr std::size_t kChunkBytes = std::size_t{4} << 20;  ///< damage is located to within this many bytes

/// What a file must contain: its size and the CRC-32C of each chunk of it (the last one may be short).
struct FileSums {
  std::string name;
  std::int64_t bytes = 0;
  std::int64_t chunk_bytes = kChunkBytes;
  std::vector<std::uint32_t> chunks;
};

struct Manifest {
  CheckpointInfo info;  ///< without folder, config_toml and file_bytes
  std::vector<FileSums> files;
};

PANTHER_RUNTIME_API FileSums sums_of(std::string name, std::span<const std::byte> bytes);

/// JSON with the same bytes for the same manifest.
PANTHER_RUNTIME_API std::string manifest_text(const Manifest& manifest);
/// Throws Unsupported when it comes from a newer Panther or another sign generator, Corrupt when it is no manifest.
/// `where` names it in messages.
PANTHER_RUNTIME_API Manifest parse_manifest(std::string_view text, std::string_view where);

/// What DONE holds. This line never changes with versions, so that every Panther can tell damage from novelty.
PANTHER_RUNTIME_API std::string seal_text(std::string_view manifest);

}  // namespace panther::runtime
