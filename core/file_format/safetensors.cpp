#include "core/file_format/safetensors.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <unordered_map>

#include "core/atomic_file.h"
#include "core/crc32c.h"
#include "core/error.h"
#include "core/file_format/mapped_file.h"
#include "core/file_format/safetensors_header.h"

namespace panther {

namespace {

constexpr std::size_t kPrefixBytes = 8;
constexpr std::size_t kAlignment = 64;
/// The limit of the format's own implementation; a longer header is damage, not data.
constexpr std::uint64_t kMaxHeaderBytes = 100'000'000;
/// Checksum and write go piece by piece, so that the second of them finds the bytes in the cache.
constexpr std::size_t kPieceBytes = std::size_t{1} << 20;

std::array<std::byte, kPrefixBytes> little_endian(std::uint64_t value) {
  std::array<std::byte, kPrefixBytes> bytes{};
  for (std::size_t i = 0; i < kPrefixBytes; ++i) bytes[i] = static_cast<std::byte>(value >> (8 * i));
  return bytes;
}

std::uint64_t from_little_endian(std::span<const std::byte> bytes) {
  std::uint64_t value = 0;
  for (std::size_t i = 0; i < kPrefixBytes; ++i) value |= static_cast<std::uint64_t>(bytes[i]) << (8 * i);
  return value;
}

std::uint32_t append_pieces(DurableFile& file, std::span<const std::byte> bytes, std::uint32_t crc) {
  while (!bytes.empty()) {
    const auto piece = bytes.first(std::min(bytes.size(), kPieceBytes));
    crc = crc32c(piece, crc);
    file.append(piece);
    bytes = bytes.subspan(piece.size());
  }
  return crc;
}

}  // namespace

std::string make_safetensors_preamble(std::span<const SafetensorsEntry> entries, const std::map<std::string, std::string>& metadata) {
  std::string header = detail::make_safetensors_header(entries, metadata);
  header.append((kAlignment - (kPrefixBytes + header.size()) % kAlignment) % kAlignment, ' ');
  PANTHER_REQUIRE(header.size() <= kMaxHeaderBytes, "the header would have ", header.size(), " bytes; at most ", kMaxHeaderBytes,
                  " are allowed: store fewer tensors per file");
  const auto length = little_endian(header.size());
  return std::string(reinterpret_cast<const char*>(length.data()), length.size()) + header;
}

std::uint32_t write_safetensors(const std::filesystem::path& path, std::span<const SafetensorsEntry> entries,
                                const std::map<std::string, std::string>& metadata) {
  const std::string preamble = make_safetensors_preamble(entries, metadata);
  DurableFile file(path);
  try {
    std::uint32_t crc = append_pieces(file, std::as_bytes(std::span(preamble)), 0);
    for (const SafetensorsEntry& entry : entries) crc = append_pieces(file, entry.bytes, crc);
    file.commit();
    return crc;
  } catch (const Error&) {
    ::unlink(path.c_str());
    throw;
  }
}

namespace {

std::uint64_t header_length(std::span<const std::byte> bytes, const std::filesystem::path& path) {
  if (bytes.size() < kPrefixBytes)
    fail(ErrorCode::Corrupt, "'", path.string(), "' is damaged: it ends at byte ", bytes.size(),
         ", before the length of its header; use another copy");
  const std::uint64_t length = from_little_endian(bytes);
  if (length > kMaxHeaderBytes || length > bytes.size() - kPrefixBytes)
    fail(ErrorCode::Corrupt, "'", path.string(), "' is damaged: byte 0 says a header of ", length, " bytes, the file has ", bytes.size(),
         "; use another copy");
  return length;
}

}  // namespace

struct SafetensorsFile::Mapping {
  MappedFile file;
  std::vector<SafetensorsEntry> entries;
  std::unordered_map<std::string_view, std::size_t> by_name;
  std::map<std::string, std::string> metadata;

  explicit Mapping(const std::filesystem::path& path);
};

SafetensorsFile::Mapping::Mapping(const std::filesystem::path& path) : file(path) {
  const auto bytes = file.bytes();
  const std::uint64_t length = header_length(bytes, path);
  const auto data = bytes.subspan(kPrefixBytes + length);
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()) + kPrefixBytes, length);
  detail::SafetensorsHeader header = detail::parse_safetensors_header(text, data.size(), path.string());
  metadata = std::move(header.metadata);
  for (detail::SafetensorsRange& range : header.ranges)
    entries.push_back({std::move(range.name), range.dtype, std::move(range.shape), data.subspan(range.begin, range.end - range.begin)});
  for (std::size_t i = 0; i < entries.size(); ++i) by_name.emplace(entries[i].name, i);
}

SafetensorsFile::SafetensorsFile(const std::filesystem::path& path) : mapping_(std::make_unique<Mapping>(path)) {}
SafetensorsFile::~SafetensorsFile() = default;
SafetensorsFile::SafetensorsFile(SafetensorsFile&&) noexcept = default;
SafetensorsFile& SafetensorsFile::operator=(SafetensorsFile&&) noexcept = default;

const std::vector<SafetensorsEntry>& SafetensorsFile::entries() const noexcept { return mapping_->entries; }

const SafetensorsEntry* SafetensorsFile::find(std::string_view name) const noexcept {
  const auto found = mapping_->by_name.find(name);
  return found == mapping_->by_name.end() ? nullptr : &mapping_->entries[found->second];
}

const std::map<std::string, std::string>& SafetensorsFile::metadata() const noexcept { return mapping_->metadata; }

std::span<const std::byte> SafetensorsFile::bytes() const noexcept { return mapping_->file.bytes(); }

void SafetensorsFile::release(std::span<const std::byte> part) const noexcept { mapping_->file.release(part); }

}  // namespace panther
