#pragma once
// Tables for a terminal.
#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/export.h"

namespace panther {

/// Characters of UTF-8 text.
PANTHER_CORE_API std::size_t display_width(std::string_view text);
/// A two-column table with a title.
PANTHER_CORE_API std::string format_table(const std::string& title, const std::vector<std::pair<std::string, std::string>>& rows);
/// Columns with a header, right-aligned where all cells are numbers.
PANTHER_CORE_API std::string format_columns(const std::vector<std::string>& header, const std::vector<std::vector<std::string>>& rows);

}  // namespace panther
