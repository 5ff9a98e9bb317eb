#include "comm/rendezvous/tcp_protocol.h"

#include "core/text.h"

namespace panther::comm::tcp {
namespace {

std::size_t length_of(std::uint32_t bytes) { return bytes == kAbsent ? 0 : bytes; }

std::string problem_of(const Header& header) {
  if (header.magic != kMagic) return "the other side does not speak the store's protocol";
  if (header.version != kVersion) return concat("protocol version ", header.version, ", ", kVersion, " is needed");
  if (header.key_bytes > kMaxKeyBytes) return concat("a key of ", header.key_bytes, " bytes, ", kMaxKeyBytes, " are allowed");
  const std::size_t largest = std::max(length_of(header.expected_bytes), length_of(header.value_bytes));
  if (largest > kMaxValueBytes) return concat("a value of ", largest, " bytes, ", kMaxValueBytes, " are allowed");
  return {};
}

}  // namespace

std::string encode(Verb verb, std::string_view key, const std::optional<std::string>& expected, std::optional<std::string_view> value) {
  Header header;
  header.verb = verb;
  header.key_bytes = static_cast<std::uint32_t>(key.size());
  if (expected) header.expected_bytes = static_cast<std::uint32_t>(expected->size());
  if (value) header.value_bytes = static_cast<std::uint32_t>(value->size());
  std::string bytes(sizeof(header), '\0');
  std::memcpy(bytes.data(), &header, sizeof(header));
  bytes.append(key);
  if (expected) bytes.append(*expected);
  if (value) bytes.append(*value);
  return bytes;
}

std::optional<Message> decode(std::string& buffer, std::string& problem) {
  Header header;
  if (buffer.size() < sizeof(header)) return std::nullopt;
  std::memcpy(&header, buffer.data(), sizeof(header));
  problem = problem_of(header);
  if (!problem.empty()) return std::nullopt;
  const std::size_t key = header.key_bytes;
  const std::size_t expected = length_of(header.expected_bytes);
  const std::size_t value = length_of(header.value_bytes);
  const std::size_t whole = sizeof(header) + key + expected + value;
  if (buffer.size() < whole) return std::nullopt;
  Message message;
  message.verb = header.verb;
  message.key = buffer.substr(sizeof(header), key);
  if (header.expected_bytes != kAbsent) message.expected = buffer.substr(sizeof(header) + key, expected);
  if (header.value_bytes != kAbsent) message.value = buffer.substr(sizeof(header) + key + expected, value);
  buffer.erase(0, whole);
  return message;
}

}  // namespace panther::comm::tcp
