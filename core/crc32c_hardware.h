#pragma once
// The processor's own CRC-32C, when it has one. crc32c_x86.cpp or its twin no_crc32c_x86.cpp, chosen by CMake.
#include <cstddef>
#include <cstdint>

#include "core/export.h"

namespace panther::detail {

/// Continues the raw (not complemented) register over `size` bytes.
using Crc32cUpdate = std::uint32_t (*)(std::uint32_t state, const std::byte* bytes, std::size_t size) noexcept;

/// nullptr when this build or this processor has none.
PANTHER_CORE_API Crc32cUpdate hardware_crc32c() noexcept;

/// The same by tables, on any processor.
PANTHER_CORE_API std::uint32_t portable_crc32c(std::uint32_t state, const std::byte* bytes, std::size_t size) noexcept;

}  // namespace panther::detail
