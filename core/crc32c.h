#pragma once
// CRC-32C (Castagnoli, polynomial 0x1EDC6F41 reflected), RFC 3720 B.4.
#include <cstddef>
#include <cstdint>
#include <span>

#include "core/export.h"

namespace panther {

/// Continues `crc` (0 to begin) over `bytes`. Uses the SSE4.2 instruction where the processor has it.
PANTHER_CORE_API std::uint32_t crc32c(std::span<const std::byte> bytes, std::uint32_t crc = 0) noexcept;
/// The masked form of TFRecord files: rotate right by 15 and add 0xa282ead8.
constexpr std::uint32_t masked_crc32c(std::uint32_t crc) noexcept { return ((crc >> 15) | (crc << 17)) + 0xa282ead8u; }

}  // namespace panther
