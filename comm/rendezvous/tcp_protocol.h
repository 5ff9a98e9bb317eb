#pragma once
// What the TCP store's client and server say to each other: one fixed header, then key, expected and value bytes. A client
// sends one request and reads one reply before the next; a `wait` is answered when somebody sets the key.
#include <bit>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>

namespace panther::comm::tcp {

static_assert(std::endian::native == std::endian::little, "the store's wire format is little endian");

inline constexpr std::uint32_t kMagic = 0x52545350;  // "PSTR"
inline constexpr std::uint16_t kVersion = 1;
inline constexpr std::uint32_t kAbsent = 0xffffffff;  ///< in place of a length: no value at all
inline constexpr std::uint32_t kMaxKeyBytes = 4096;
inline constexpr std::uint32_t kMaxValueBytes = 16u << 20;

enum class Verb : std::uint16_t { set = 1, get = 2, wait = 3, compare_and_set = 4, reply = 5, refused = 6 };

struct Header {
  std::uint32_t magic = kMagic;
  std::uint16_t version = kVersion;
  Verb verb = Verb::reply;
  std::uint32_t key_bytes = 0;
  std::uint32_t expected_bytes = kAbsent;
  std::uint32_t value_bytes = kAbsent;
  std::uint32_t reserved = 0;
};
static_assert(sizeof(Header) == 24);

struct Message {
  Verb verb = Verb::reply;
  std::string key;
  std::optional<std::string> expected;
  std::optional<std::string> value;
};

/// Bytes to send.
std::string encode(Verb verb, std::string_view key, const std::optional<std::string>& expected, std::optional<std::string_view> value);

/// Takes one whole message off the front of `buffer`, or nothing when more bytes are needed. `problem` is set when the
/// bytes can never become a message (foreign magic, other version, over the limits); the connection is then useless.
std::optional<Message> decode(std::string& buffer, std::string& problem);

}  // namespace panther::comm::tcp
