#include "core/table.h"

#include <algorithm>

namespace panther {
namespace {

std::string padded(const std::string& text, std::size_t width, bool right) {
  const std::string space(width - std::min(width, display_width(text)), ' ');
  return right ? space + text : text + space;
}

/// "12", "-3.5e-4", "1.46 MiB", "41 %": begins as a number does.
bool looks_numeric(const std::string& cell) {
  const std::size_t digit = cell.find_first_not_of("+-.~<>");
  return cell.empty() || cell == "-" || (digit != std::string::npos && digit <= 2 && cell[digit] >= '0' && cell[digit] <= '9');
}

std::string without_trailing_spaces(std::string line) {
  line.erase(line.find_last_not_of(' ') + 1);
  return line;
}

}  // namespace

std::size_t display_width(std::string_view text) {
  return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; }));
}

std::string format_table(const std::string& title, const std::vector<std::pair<std::string, std::string>>& rows) {
  std::size_t width = 0;
  for (const auto& [name, value] : rows) width = std::max(width, display_width(name));
  std::string out = title + "\n" + std::string(display_width(title), '-') + "\n";
  for (const auto& [name, value] : rows) out += without_trailing_spaces("  " + padded(name, width + 2, false) + value) + "\n";
  return out;
}

std::string format_columns(const std::vector<std::string>& header, const std::vector<std::vector<std::string>>& rows) {
  std::vector<std::size_t> widths;
  std::vector<bool> right;
  for (std::size_t c = 0; c < header.size(); ++c) {
    std::size_t width = display_width(header[c]);
    bool numeric = !rows.empty();
    for (const auto& row : rows) {
      if (c >= row.size()) continue;
      width = std::max(width, display_width(row[c]));
      numeric = numeric && looks_numeric(row[c]);
    }
    widths.push_back(width);
    right.push_back(numeric);
  }
  const auto line = [&](const std::vector<std::string>& cells) {
    std::string text;
    for (std::size_t c = 0; c < header.size(); ++c) text += (c > 0 ? "  " : "") + padded(c < cells.size() ? cells[c] : "", widths[c], right[c]);
    return without_trailing_spaces(text) + "\n";
  };
  std::string out = line(header);
  std::size_t total = header.empty() ? 0 : 2 * (header.size() - 1);
  for (const std::size_t width : widths) total += width;
  out += std::string(total, '-') + "\n";
  for (const auto& row : rows) out += line(row);
  return out;
}

}  // namespace panther
