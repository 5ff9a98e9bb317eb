#include <nmmintrin.h>

#include <cstring>

#include "core/crc32c_hardware.h"

namespace panther::detail {

namespace {

__attribute__((target("sse4.2"))) std::uint32_t update(std::uint32_t state, const std::byte* bytes, std::size_t size) noexcept {
  std::uint64_t wide = state;
  for (; size >= 8; size -= 8, bytes += 8) {
    std::uint64_t word;
    std::memcpy(&word, bytes, 8);
    wide = _mm_crc32_u64(wide, word);
  }
  auto narrow = static_cast<std::uint32_t>(wide);
  for (; size > 0; --size, ++bytes) narrow = _mm_crc32_u8(narrow, static_cast<std::uint8_t>(*bytes));
  return narrow;
}

}  // namespace

Crc32cUpdate hardware_crc32c() noexcept { return __builtin_cpu_supports("sse4.2") ? &update : nullptr; }

}  // namespace panther::detail
