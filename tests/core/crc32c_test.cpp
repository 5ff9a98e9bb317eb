#include "core/crc32c.h"

#include <gtest/gtest.h>

#include <cstring>
#include <random>
#include <string_view>
#include <vector>

#include "core/crc32c_hardware.h"

namespace panther {
namespace {

std::uint32_t crc_of(const std::vector<unsigned char>& bytes) { return crc32c(std::as_bytes(std::span(bytes))); }

/// Bit by bit from the polynomial: the definition, sharing nothing with the tables.
std::uint32_t by_definition(std::span<const std::byte> bytes) {
  std::uint32_t state = 0xffffffffu;
  for (const std::byte byte : bytes) {
    for (int bit = 0; bit < 8; ++bit) {
      const std::uint32_t in = (static_cast<std::uint32_t>(byte) >> bit) & 1u;
      const bool feed = ((state ^ in) & 1u) != 0;
      state = (state >> 1) ^ (feed ? 0x82f63b78u : 0u);
    }
  }
  return ~state;
}

TEST(Crc32c, KnownVectors) {
  // RFC 3720 B.4, and the check value of the catalogue of parametrised CRCs.
  EXPECT_EQ(crc_of(std::vector<unsigned char>(32, 0x00)), 0x8a9136aau);
  EXPECT_EQ(crc_of(std::vector<unsigned char>(32, 0xff)), 0x62a8ab43u);
  std::vector<unsigned char> rising(32), falling(32);
  for (unsigned i = 0; i < 32; ++i) {
    rising[i] = static_cast<unsigned char>(i);
    falling[i] = static_cast<unsigned char>(31 - i);
  }
  EXPECT_EQ(crc_of(rising), 0x46dd794eu);
  EXPECT_EQ(crc_of(falling), 0x113fdb5cu);
  const std::string_view digits = "123456789";
  EXPECT_EQ(crc32c(std::as_bytes(std::span(digits.data(), digits.size()))), 0xe3069283u);
  EXPECT_EQ(crc32c({}), 0u);
}

class Crc32cLengths : public testing::TestWithParam<std::size_t> {};

TEST_P(Crc32cLengths, EveryPathAgreesWithTheDefinition) {
  std::mt19937 random(17);
  std::vector<std::byte> storage(GetParam() + 8);
  for (std::byte& byte : storage) byte = static_cast<std::byte>(random());
  for (std::size_t shift = 0; shift < 8; ++shift) {
    const auto bytes = std::span(storage).subspan(shift, GetParam());
    const std::uint32_t expected = by_definition(bytes);
    EXPECT_EQ(crc32c(bytes), expected);
    EXPECT_EQ(~detail::portable_crc32c(0xffffffffu, bytes.data(), bytes.size()), expected);
    const std::size_t cut = GetParam() / 3;
    EXPECT_EQ(crc32c(bytes.subspan(cut), crc32c(bytes.first(cut))), expected) << "in two pieces";
  }
}

INSTANTIATE_TEST_SUITE_P(Sizes, Crc32cLengths, testing::Values(0, 1, 2, 3, 7, 8, 9, 15, 16, 17, 63, 64, 65, 255, 1024, 4099));

TEST(Crc32c, HardwareIsUsedWhereTheProcessorHasIt) {
  const auto hardware = detail::hardware_crc32c();
  if (hardware == nullptr) GTEST_SKIP() << "this processor has no CRC-32C instruction";
  std::vector<std::byte> bytes(1000, std::byte{0x5a});
  EXPECT_EQ(~hardware(0xffffffffu, bytes.data(), bytes.size()), by_definition(bytes));
}

TEST(Crc32c, EverySingleBitFlipIsSeen) {
  std::vector<std::byte> bytes(97, std::byte{0x31});
  const std::uint32_t whole = crc32c(bytes);
  for (std::size_t bit = 0; bit < bytes.size() * 8; ++bit) {
    bytes[bit / 8] ^= static_cast<std::byte>(1u << (bit % 8));
    EXPECT_NE(crc32c(bytes), whole);
    bytes[bit / 8] ^= static_cast<std::byte>(1u << (bit % 8));
  }
}

TEST(Crc32c, MaskedForm) {
  EXPECT_EQ(masked_crc32c(0), 0xa282ead8u);
  EXPECT_EQ(masked_crc32c(0x00008000u), 0xa282ead9u);
  EXPECT_EQ(masked_crc32c(0x00000001u), 0xa284ead8u);
}

}  // namespace
}  // namespace panther
