#include "core/crc32c.h"

#include <array>

#include "core/crc32c_hardware.h"

namespace panther {

namespace {

using Tables = std::array<std::array<std::uint32_t, 256>, 8>;

/// tables[k][b]: the register after byte b and k zero bytes, starting from zero.
constexpr Tables make_tables() {
  Tables tables{};
  for (std::uint32_t byte = 0; byte < 256; ++byte) {
    std::uint32_t state = byte;
    for (int bit = 0; bit < 8; ++bit) state = (state >> 1) ^ ((state & 1u) != 0 ? 0x82f63b78u : 0u);
    tables[0][byte] = state;
  }
  for (std::size_t k = 1; k < 8; ++k)
    for (std::size_t byte = 0; byte < 256; ++byte)
      tables[k][byte] = (tables[k - 1][byte] >> 8) ^ tables[0][tables[k - 1][byte] & 0xffu];
  return tables;
}

constexpr Tables kTables = make_tables();

}  // namespace

namespace detail {

// Eight bytes per turn; bytes are combined by hand, so the result does not depend on the machine's byte order.
std::uint32_t portable_crc32c(std::uint32_t state, const std::byte* bytes, std::size_t size) noexcept {
  const auto at = [&](std::size_t i) { return static_cast<std::uint32_t>(bytes[i]); };
  for (; size >= 8; size -= 8, bytes += 8) {
    const std::uint32_t low = state ^ (at(0) | at(1) << 8 | at(2) << 16 | at(3) << 24);
    state = kTables[7][low & 0xffu] ^ kTables[6][(low >> 8) & 0xffu] ^ kTables[5][(low >> 16) & 0xffu] ^ kTables[4][low >> 24] ^
            kTables[3][at(4)] ^ kTables[2][at(5)] ^ kTables[1][at(6)] ^ kTables[0][at(7)];
  }
  for (; size > 0; --size, ++bytes) state = (state >> 8) ^ kTables[0][(state ^ at(0)) & 0xffu];
  return state;
}

}  // namespace detail

std::uint32_t crc32c(std::span<const std::byte> bytes, std::uint32_t crc) noexcept {
  static const detail::Crc32cUpdate hardware = detail::hardware_crc32c();
  const detail::Crc32cUpdate update = hardware != nullptr ? hardware : &detail::portable_crc32c;
  return ~update(~crc, bytes.data(), bytes.size());
}

}  // namespace panther
