#pragma once
// Names for the cases of parametrised tests, free of what test runners trip over.
#include <array>
#include <cctype>
#include <cstdint>
#include <cstdio>
#include <string>
#include <string_view>

namespace panther::test {

/// The first 40 letters, digits and single underscores, and a hash of the whole, so that names stay distinct.
inline std::string case_name(std::string_view text) {
  std::string name;
  for (const char c : text) {
    const bool plain = std::isalnum(static_cast<unsigned char>(c)) != 0;
    if (plain) name += c;
    if (!plain && !name.empty() && name.back() != '_') name += '_';
  }
  std::uint32_t hash = 0x811c9dc5u;  // FNV-1a
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x01000193u;
  std::array<char, 16> suffix{};
  std::snprintf(suffix.data(), suffix.size(), "_%04x", static_cast<unsigned>(hash & 0xffffu));
  return name.substr(0, 40) + suffix.data();
}

}  // namespace panther::test
