#include "core/text.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>

namespace panther {

namespace {

/// Three significant digits without an exponent, for 0 <= value < 1000.
std::string three_digits(double value) {
  const int decimals = value >= 99.95 ? 0 : value >= 9.995 ? 1 : value >= 0.9995 ? 2 : 3;
  std::array<char, 32> buffer{};
  std::snprintf(buffer.data(), buffer.size(), "%.*f", decimals, value);
  return buffer.data();
}

/// `value` in the first unit in which it prints with at most three digits before the point; whole numbers in the first unit.
std::string scaled(double value, double factor, const std::vector<const char*>& units) {
  if (!std::isfinite(value)) return concat(value, units[0]);
  const bool negative = value < 0;
  value = std::fabs(value);
  std::size_t unit = 0;
  while (value >= 999.5 && unit + 1 < units.size()) {
    value /= factor;
    ++unit;
  }
  std::array<char, 400> plain{};  // a double without an exponent has at most 309 digits
  std::snprintf(plain.data(), plain.size(), "%.0f", value);
  const bool whole = unit == 0 || value >= 999.5;
  return concat(negative ? "-" : "", whole ? std::string(plain.data()) : three_digits(value), units[unit]);
}

}  // namespace

std::string join_first(std::vector<std::string> items, std::size_t most, std::string_view separator) {
  if (items.size() > most) {
    const std::size_t left = items.size() - most;
    items.resize(most);
    items.push_back(concat("and ", left, " more"));
  }
  return join(items, separator);
}

std::string human_bytes(double bytes) { return scaled(bytes, 1024, {" B", " KiB", " MiB", " GiB", " TiB", " PiB", " EiB"}); }

std::string human_count(double count) { return scaled(count, 1000, {"", " k", " M", " G", " T", " P"}); }

std::string human_seconds(double seconds) {
  std::array<char, 64> buffer{};
  const auto print = [&](const char* format, auto... values) {
    std::snprintf(buffer.data(), buffer.size(), format, values...);
    return std::string(buffer.data());
  };
  if (!std::isfinite(seconds)) return concat(seconds, " s");
  if (seconds < 0) return concat("-", human_seconds(-seconds));
  if (seconds < 0.0995) return print("%.1f ms", seconds * 1e3);
  if (seconds < 9.995) return print("%.2f s", seconds);
  if (seconds < 59.95) return print("%.1f s", seconds);
  const double whole = std::round(seconds);
  if (whole < 3600) return print("%.0f min %02.0f s", std::floor(whole / 60), std::fmod(whole, 60));
  const double minutes = std::round(seconds / 60);
  return print("%.0f h %02.0f min", std::floor(minutes / 60), std::fmod(minutes, 60));
}

namespace {

/// Edits (insert, delete, replace, swap of neighbours) between two words.
std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> before(b.size() + 1), previous(b.size() + 1), current(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) previous[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    current[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t replaced = previous[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
      current[j] = std::min({replaced, previous[j] + 1, current[j - 1] + 1});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) current[j] = std::min(current[j], before[j - 2] + 1);
    }
    std::swap(before, previous);
    std::swap(previous, current);
  }
  return previous[b.size()];
}

}  // namespace

std::string nearest(std::string_view word, const std::vector<std::string>& candidates) {
  std::size_t best = std::max<std::size_t>(2, word.size() / 3) + 1;
  std::string result;
  for (const std::string& candidate : candidates) {
    const std::size_t distance = edit_distance(word, candidate);
    if (distance < best && distance < std::max(word.size(), candidate.size())) {
      best = distance;
      result = candidate;
    }
  }
  return result;
}

bool glob_match(std::string_view pattern, std::string_view name) noexcept {
  std::size_t p = 0, n = 0, star = std::string_view::npos, resume = 0;
  while (n < name.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      resume = n;
    } else if (p < pattern.size() && (pattern[p] == '?' || pattern[p] == name[n])) {
      ++p;
      ++n;
    } else if (star != std::string_view::npos) {
      p = star + 1;
      n = ++resume;
    } else {
      return false;
    }
  }
  while (p < pattern.size() && pattern[p] == '*') ++p;
  return p == pattern.size();
}

}  // namespace panther
