#pragma once
// Small pieces of text: building messages, quoting, sizes for people.
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include "core/export.h"

namespace panther {

/// The parts written one after the other, as `operator<<` writes them.
template <class... Parts>
std::string concat(const Parts&... parts) {
  std::ostringstream out;
  (out << ... << parts);
  return std::move(out).str();
}

/// `a, b, c` for any range of streamable items.
template <class Range>
std::string join(const Range& items, std::string_view separator = ", ") {
  std::ostringstream out;
  bool first = true;
  for (const auto& item : items) {
    if (!first) out << separator;
    out << item;
    first = false;
  }
  return std::move(out).str();
}

/// The same for at most `most` items; what is left out is counted: `a, b, and 2 more`.
PANTHER_CORE_API std::string join_first(std::vector<std::string> items, std::size_t most, std::string_view separator = ", ");
/// Bytes in the largest binary unit that keeps three digits: "512 B", "1.46 MiB".
PANTHER_CORE_API std::string human_bytes(double bytes);
/// Counts with a decimal suffix: "812", "3.32 M", "12.9 k".
PANTHER_CORE_API std::string human_count(double count);
/// Seconds as "12.5 ms", "0.42 s", "3 min 05 s", "2 h 10 min".
PANTHER_CORE_API std::string human_seconds(double seconds);
/// The candidate nearest to `word` by edit distance, or "" when none is near (distance <= max(2, length / 3) and something in common).
PANTHER_CORE_API std::string nearest(std::string_view word, const std::vector<std::string>& candidates);
/// Shell-style match of a dotted name: `*` matches within and across dots, `?` one character.
PANTHER_CORE_API bool glob_match(std::string_view pattern, std::string_view name) noexcept;

}  // namespace panther
